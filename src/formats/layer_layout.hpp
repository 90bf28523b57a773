#pragma once

#include <cstdint>

#include <halftone/format.hpp>

#include "base/checked.hpp"

namespace halftone::formats {

/// How the codes and scales of a weight line up with its rows: all that a loop over bands of rows
/// needs to know of a format.
class LayerLayout {
 public:
  LayerLayout(const QuantSpec& spec, std::uint64_t columns)
      : grid_(spec.format->grid()),
        side_(grid_ == ScaleGrid::block ? spec.block_size : 1),
        row_bytes_(columns * bits_of(spec.format->code_dtype()) / 8),
        scales_per_group_row_(grid_ == ScaleGrid::block ? base::ceil_div(columns, side_)
                              : grid_ == ScaleGrid::row ? 1
                                                        : 0) {}

  /// Bands begin at multiples of this many rows.
  [[nodiscard]] std::uint64_t row_multiple() const noexcept { return side_; }
  /// Bytes of the codes of `rows` rows.
  [[nodiscard]] std::uint64_t code_bytes(std::uint64_t rows) const noexcept { return rows * row_bytes_; }
  /// Position, among the layer's scales, of the first one of the band that begins at `row`.
  [[nodiscard]] std::uint64_t first_scale(std::uint64_t row) const noexcept { return row / side_ * scales_per_group_row_; }
  /// Number of scales of a band of `rows` rows; 1 where one serves the whole weight.
  [[nodiscard]] std::uint64_t scale_count(std::uint64_t rows) const noexcept {
    return scales_per_group_row_ == 0 ? 1 : base::ceil_div(rows, side_) * scales_per_group_row_;
  }
  /// Whether one scale serves all, so that the weight must be measured before it is quantized.
  [[nodiscard]] bool measures_first() const noexcept { return grid_ == ScaleGrid::tensor; }
  [[nodiscard]] bool has_scales() const noexcept { return grid_ != ScaleGrid::none; }

 private:
  ScaleGrid grid_;
  std::uint64_t side_;
  std::uint64_t row_bytes_;
  std::uint64_t scales_per_group_row_;
};

}  // namespace halftone::formats
