#include "exec/scale_writer.hpp"

#include <cstring>

#include "formats/swizzle.hpp"

namespace halftone::exec {

std::uint64_t ScaleWriter::write(std::uint64_t first, std::span<const std::byte> scales) const {
  if (!output_ || scales.empty()) return 0;
  if (of_rows_) return write_apart(first, scales);
  if (!layout_.swizzled()) {
    context_.write_at(*output_, layout_.scale_bytes(first), scales);
    return scales.size();
  }
  // A band begins with a tile, so the tiles of the rows before it come first.
  const formats::Swizzle swizzle(layout_.groups_across());
  const auto tiles = swizzle.tiled(scales, layout_.groups_across());
  context_.write_at(*output_, swizzle.bytes(first), tiles);
  return tiles.size();
}

/// The scales of groups and those of rows, each into a tensor of its own.
std::uint64_t ScaleWriter::write_apart(std::uint64_t first, std::span<const std::byte> scales) const {
  const std::uint64_t groups = layout_.group_scale_bytes(1);
  const std::uint64_t rows = scales.size() / layout_.scale_bytes(1);
  std::vector<std::byte> of_groups(rows * groups);
  std::vector<std::byte> of_rows(rows * layout_.row_scale_bytes());
  for (std::uint64_t row = 0; row < rows; ++row) {
    const std::byte* from = scales.data() + layout_.scale_bytes(row);
    std::memcpy(of_groups.data() + row * groups, from, groups);
    std::memcpy(of_rows.data() + row * layout_.row_scale_bytes(), from + groups, layout_.row_scale_bytes());
  }
  context_.write_at(*output_, first * groups, of_groups);
  context_.write_at(*of_rows_, first * layout_.row_scale_bytes(), of_rows);
  return scales.size();
}

}  // namespace halftone::exec
