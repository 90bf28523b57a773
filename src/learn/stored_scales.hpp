#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "formats/layer_layout.hpp"
#include "formats/movable_scales.hpp"

namespace halftone::learn {

/// The scales of a weight as they are stored, while they are being moved: to nothing that could not be stored.  The format
/// is one whose scales can be moved (formats::why_scales_stay()).
class StoredScales {
 public:
  /// `columns`: of the weight.  `scales`: as backends give them.  `amax`: what the scale of the whole weight is made from.
  /// `spec` and `layout` must outlive this.
  StoredScales(const QuantSpec& spec, const formats::LayerLayout& layout, std::uint64_t columns, std::vector<std::byte> scales, float amax);

  /// How many there are.
  [[nodiscard]] std::uint64_t count() const noexcept { return values_.size(); }
  /// Which of them is that of an element.
  [[nodiscard]] std::uint64_t index_of(std::uint64_t row, std::uint64_t column) const;
  /// What the levels of its elements are multiplied with.
  [[nodiscard]] float value(std::uint64_t index) const { return values_[index]; }
  /// Moves a scale to the value nearest to `wanted` that can be stored.  One of zero stays.
  void move(std::uint64_t index, float wanted);

  [[nodiscard]] const std::vector<std::byte>& bytes() const noexcept { return scales_; }
  [[nodiscard]] float amax() const noexcept { return amax_; }

 private:
  void move_of_groups(std::uint64_t index, float wanted);
  void move_of_whole(float wanted);

  const QuantSpec* spec_;
  const formats::LayerLayout* layout_;
  std::uint64_t columns_;
  std::vector<std::byte> scales_;
  float amax_;
  std::vector<float> values_;
  std::vector<formats::ScaleChoice> choices_;  ///< ascending; empty where scales are binary32
  std::array<std::size_t, 256> place_of_{};    ///< of a stored scale among them
};

}  // namespace halftone::learn
