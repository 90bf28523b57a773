#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <halftone/backend.hpp>

#include "formats/layer_layout.hpp"

namespace halftone::formats {

/// A tensor of any shape as a matrix: the outermost dimension, and all others together.
struct Extent {
  std::uint64_t rows;
  std::uint64_t columns;
};
[[nodiscard]] Extent extent_of(const Shape& shape);

/// The tensors of a stored layer that few formats have; empty where it has none.
struct RareParts {
  std::span<const std::byte> row_scales;     ///< Role::row_scales
  std::span<const std::byte> levels;         ///< Role::levels
  std::span<const std::byte> nested_scales;  ///< Role::nested_scales: those of the scales, which are quantized
  std::span<const std::byte> nested_levels;  ///< Role::nested_levels
  float nested_offset = 0;                   ///< StoredSpec::nested_offset
};

/// The tensors of a quantized layer, whose weight can be read as binary32, a few rows at a time.
class StoredMatrix {
 public:
  /// `shape`: of the dequantized weight.  The bytes are those of the layer's tensors and must outlive
  /// this; `scales` is empty without Role::scales.
  StoredMatrix(const QuantSpec& spec, const Shape& shape, std::span<const std::byte> codes, std::span<const std::byte> scales,
               float tensor_scale, const RareParts& rare = {})
      : spec_(spec),
        rows_(extent_of(shape).rows),
        columns_(extent_of(shape).columns),
        layout_(spec, rows_, columns_),
        codes_(codes),
        scales_(scales),
        tensor_scale_(tensor_scale),
        rare_(rare),
        levels_(own_levels(spec, rare.levels)) {}

  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint64_t columns() const noexcept { return columns_; }
  /// read() begins at multiples of this many rows.
  [[nodiscard]] std::uint64_t row_multiple() const noexcept { return layout_.group_rows(); }
  /// The bytes of codes that hold rows [first, first + count) and perhaps a little more.
  [[nodiscard]] std::span<const std::byte> codes_of(std::uint64_t first, std::uint64_t count) const;

  /// The position, among the scales as they lie in the file, of the first that is not finite; nothing where all are.
  [[nodiscard]] std::optional<std::uint64_t> first_bad_scale() const;
  /// Throws bad_quantization where there is such a scale; `weight` is what the tensor of the codes is called.
  void require_finite_scales(std::string_view weight) const;

  /// Writes rows [first, first + count) to `out`.
  void read(const Backend& backend, std::uint64_t first, std::uint64_t count, float* out) const;

  // What the rows of values are made from.  Rows and groups are those of the layout: blocks of a flat format, and of a
  // rotated one what is rotated back.

  [[nodiscard]] const LayerLayout& layout() const noexcept { return layout_; }
  /// Writes the codes of a row, one in each byte, without padding.
  void unpack_codes(std::uint64_t row, std::uint8_t* out) const;
  /// What the values of a group are multiples of; that of a row not included.
  [[nodiscard]] float group_scale(std::uint64_t row, std::uint64_t group) const;
  /// The scale of a row above those of its groups; 1 without.
  [[nodiscard]] float row_scale(std::uint64_t row) const;
  /// What `code` stands for in a group of this scale, in units of the scale of the row.
  [[nodiscard]] float value_of(std::uint8_t code, float group_scale) const;

 private:
  /// The layer's levels; empty where they are those of its format.
  [[nodiscard]] static std::vector<float> own_levels(const QuantSpec& spec, std::span<const std::byte> levels);
  /// The scales of rows [first, first + count), as backends take them.
  [[nodiscard]] std::vector<std::byte> scales_of_rows(std::uint64_t first, std::uint64_t count) const;
  /// The scales of blocks [first, first + count) that are quantized themselves.
  [[nodiscard]] std::vector<float> nested_scales(std::uint64_t first, std::uint64_t count) const;
  void read_levels(std::uint64_t first, std::uint64_t count, const std::byte* scales, float* out) const;
  void read_rows(const Backend& backend, std::uint64_t first, std::uint64_t count, float* out) const;
  void read_blocks(const Backend& backend, std::uint64_t first_element, std::uint64_t n, float* out) const;

  QuantSpec spec_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  LayerLayout layout_;
  std::span<const std::byte> codes_;
  std::span<const std::byte> scales_;
  float tensor_scale_;
  RareParts rare_;
  std::vector<float> levels_;
};

}  // namespace halftone::formats
