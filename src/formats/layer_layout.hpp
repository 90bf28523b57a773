#pragma once

#include <cstdint>

#include <halftone/format.hpp>

#include "base/checked.hpp"
#include "formats/swizzle.hpp"

namespace halftone::formats {

/// How the codes and scales of a weight line up with its rows: all that a loop over bands of rows
/// needs to know of a format.  A flat format sees the weight as rows of one block each.
class LayerLayout {
 public:
  LayerLayout(const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns)
      : storage_(spec.format->storage()),
        block_(spec.block_size),
        run_(spec.group_size != 0 ? spec.group_size : storage_.run),
        elements_(rows * columns),
        rows_(storage_.flat ? base::ceil_div(elements_, block_) : rows),
        columns_(storage_.flat ? block_ : columns) {}

  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint64_t columns() const noexcept { return columns_; }
  /// Elements of the weight; fewer than rows() × columns() where the last row of a flat one is partial.
  [[nodiscard]] std::uint64_t elements() const noexcept { return elements_; }
  [[nodiscard]] std::uint64_t padded_rows() const noexcept { return base::round_up(rows_, storage_.padding); }
  [[nodiscard]] std::uint64_t padded_columns() const noexcept { return base::round_up(columns_, storage_.padding); }

  /// Bands begin at multiples of this many rows: whole rows of blocks, whole tiles of scales.
  [[nodiscard]] std::uint64_t row_multiple() const noexcept {
    if (storage_.grid == ScaleGrid::block) return block_;
    return storage_.swizzled ? Swizzle::kRows : 1;
  }
  /// Bytes of the codes of `rows` rows.
  [[nodiscard]] std::uint64_t code_bytes(std::uint64_t rows) const noexcept { return rows * (padded_columns() * storage_.code_bits / 8); }

  /// Columns of a group of elements that share a scale.
  [[nodiscard]] std::uint64_t group_columns() const noexcept {
    switch (storage_.grid) {
      case ScaleGrid::none:
      case ScaleGrid::tensor:
      case ScaleGrid::row: return columns_;
      case ScaleGrid::block: return block_;
      case ScaleGrid::run: return run_;
    }
    return 0;  // not reached: every grid is named above
  }
  [[nodiscard]] std::uint64_t group_rows() const noexcept { return storage_.grid == ScaleGrid::block ? block_ : 1; }
  /// Groups side by side; 0 where groups have no scales of their own.
  [[nodiscard]] std::uint64_t groups_across() const noexcept {
    return has_group_scales() && columns_ != 0 ? base::ceil_div(padded_columns(), group_columns()) : 0;
  }
  /// Position, among the layer's scales, of the first one of the band that begins at `row`.
  [[nodiscard]] std::uint64_t first_scale(std::uint64_t row) const noexcept { return row / group_rows() * groups_across(); }
  /// Number of scales of a band of `rows` rows.
  [[nodiscard]] std::uint64_t scale_count(std::uint64_t rows) const noexcept {
    return base::ceil_div(rows, group_rows()) * groups_across();
  }
  /// Bytes of the scales of `rows` rows.  Behind those of a row's groups lies that of the row, where rows have one.
  [[nodiscard]] std::uint64_t scale_bytes(std::uint64_t rows) const noexcept {
    return scale_count(rows) * storage_.scale_bytes + rows * row_scale_bytes();
  }
  /// The same of the groups alone.
  [[nodiscard]] std::uint64_t group_scale_bytes(std::uint64_t rows) const noexcept { return scale_count(rows) * storage_.scale_bytes; }
  [[nodiscard]] std::uint64_t row_scale_bytes() const noexcept { return storage_.row_scales ? sizeof(float) : 0; }

  [[nodiscard]] bool has_group_scales() const noexcept { return storage_.grid != ScaleGrid::none && storage_.grid != ScaleGrid::tensor; }
  /// Whether a scale serves all, so that the weight must be measured before it is quantized.
  [[nodiscard]] bool measures_first() const noexcept { return storage_.grid == ScaleGrid::tensor || storage_.two_level; }
  [[nodiscard]] bool swizzled() const noexcept { return storage_.swizzled; }

 private:
  const Storage& storage_;
  std::uint64_t block_;
  std::uint64_t run_;
  std::uint64_t elements_;
  std::uint64_t rows_;
  std::uint64_t columns_;
};

}  // namespace halftone::formats
