#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/layer_layout.hpp"
#include "learn/memory.hpp"
#include "learn/problem.hpp"
#include "learn/stored_scales.hpp"

namespace halftone::learn {

/// A weight with its scales and codes while the codes are being chosen.  The weight and the codes are in the memory of an
/// engine, the scales in that of the host.
class QuantizedWeight {
 public:
  /// `weight`: rotated where the format rotates, without gaps, of finite values.  All arguments must outlive this.
  QuantizedWeight(Engine& engine, const QuantSpec& spec, const formats::LayerLayout& layout, const Matrix& weight);

  /// Chooses the scales and the codes nearest to the weights.  `amax`: the magnitude that the scale of the whole weight is
  /// made from.  `search_weights`: what squared errors count in a search, by the column; empty for 1.  `threads`: of the host,
  /// for such a search.
  void round_to_nearest(float amax, const std::vector<float>& search_weights, unsigned threads = 1);

  /// The problem of choosing better codes; valid as long as this.
  [[nodiscard]] const Layer& layer();
  /// Takes the codes of `levels`, in the memory of the engine; returns how many are others than before.
  std::uint64_t take(const std::uint8_t* levels);
  /// The scales, to be moved.
  [[nodiscard]] StoredScales stored_scales() const { return {spec_, layout_, layer_.columns(), scales_, amax_}; }
  /// Takes scales, before take() of the codes that belong to them; returns how many are others than before.
  std::uint64_t take_scales(const StoredScales& scales);

  [[nodiscard]] const FormatDescriptor& format() const noexcept { return *spec_.format; }
  [[nodiscard]] float scaled_amax() const noexcept { return amax_; }
  /// Writes `n` bytes of the codes as they are stored, from byte `begin` on, to `out`.
  void read_codes(std::uint64_t begin, std::uint64_t n, std::byte* out);
  /// Scales as backends give them, of rows [first, first + count) of the layout.
  [[nodiscard]] std::span<const std::byte> scales_of(std::uint64_t first, std::uint64_t count) const;
  /// Ŵ · x, one number for each row.
  [[nodiscard]] std::vector<float> outputs(const std::vector<float>& x);

 private:
  [[nodiscard]] float flat_scale_at(std::uint64_t row, std::uint64_t column) const;
  [[nodiscard]] bool is_regular() const;
  /// `scales`: in the memory of the engine.
  void search_scales(const std::vector<float>& search_weights, unsigned threads, std::byte* scales);
  void read_operands();
  void make_grid();

  Engine& engine_;
  const QuantSpec& spec_;
  const formats::LayerLayout& layout_;
  Memory memory_;
  Levels levels_;
  CodeTables tables_;
  PackedCodes codes_;
  Layer layer_;
  float amax_ = 0;
  float tensor_scale_ = 1;
  std::vector<std::byte> scales_;  ///< as backends give them
  std::vector<float> operands_;    ///< what decode() takes for each of them; empty without scales of groups
};

}  // namespace halftone::learn
