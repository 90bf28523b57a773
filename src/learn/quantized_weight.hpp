#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <halftone/backend.hpp>

#include "formats/layer_layout.hpp"
#include "learn/problem.hpp"

namespace halftone::learn {

/// A weight with its scales and codes while the codes are being chosen, in the memory of the host.
class QuantizedWeight {
 public:
  /// `weight`: rows × columns, rotated where the format rotates, not zero; it and `layout` must outlive this.
  QuantizedWeight(const QuantSpec& spec, const formats::LayerLayout& layout, const std::vector<float>& weight, std::uint64_t rows,
                  std::uint64_t columns);

  /// Chooses the scales, as `spec` says, and the codes nearest to the weights.  `amax`: the magnitude that the scale of the
  /// whole weight is made from.  `search_weights`: what squared errors count in a search, by the column; empty for 1.
  void round_to_nearest(const QuantSpec& spec, const Backend& backend, float amax, const std::vector<float>& search_weights);

  /// Where the elements are and may go.
  [[nodiscard]] Problem problem() const;
  /// Takes the codes of `levels`, rows × columns; returns how many are others than before.
  std::uint64_t take(const std::vector<std::uint8_t>& levels);

  [[nodiscard]] const FormatDescriptor& format() const noexcept { return *spec_.format; }
  [[nodiscard]] float scaled_amax() const noexcept { return amax_; }
  /// Codes as they are stored, of rows [first, first + count) of the layout.
  [[nodiscard]] std::vector<std::byte> packed_codes(std::uint64_t first, std::uint64_t count) const;
  /// Scales as backends give them, likewise.
  [[nodiscard]] std::span<const std::byte> scales_of(std::uint64_t first, std::uint64_t count) const;
  /// original · mean - Ŵ · mean_quantized, one number for each row.  `original`: the weight that Ŵ stands for.
  [[nodiscard]] std::vector<double> lost_outputs(const std::vector<float>& original, const std::vector<float>& mean,
                                                 const std::vector<float>& mean_quantized) const;

 private:
  /// What decode() takes for the scale of group `index`.
  [[nodiscard]] float operand(std::uint64_t index) const;
  /// The scale of the group of an element.
  [[nodiscard]] float scale_at(std::uint64_t row, std::uint64_t column) const;
  /// Whether every group lies within a row of the weight and begins in the same columns of each.
  [[nodiscard]] bool is_regular() const;
  void unpack(std::span<const std::byte> packed);
  void search_scales(const std::vector<float>& search_weights);
  void nest_scales();

  const QuantSpec& spec_;
  const formats::LayerLayout& layout_;
  const std::vector<float>& weight_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  Levels levels_;
  LevelOfCode level_of_;
  float amax_ = 0;
  float tensor_scale_ = 1;
  std::vector<std::uint8_t> codes_;  ///< one for each element
  std::vector<std::byte> scales_;    ///< as backends give them
  std::vector<float> operands_;      ///< of scales_
};

}  // namespace halftone::learn
