#include "exec/scale_writer.hpp"

#include "formats/swizzle.hpp"

namespace halftone::exec {
namespace {

/// `scales`, row by row, as tiles.
std::vector<std::byte> swizzled(std::span<const std::byte> scales, std::uint64_t rows, std::uint64_t across) {
  const formats::Swizzle swizzle(across);
  std::vector<std::byte> tiles(swizzle.bytes(rows));
  for (std::uint64_t row = 0; row < rows; ++row) {
    for (std::uint64_t column = 0; column < across; ++column) tiles[swizzle.offset(row, column)] = scales[row * across + column];
  }
  return tiles;
}

}  // namespace

std::uint64_t ScaleWriter::write(std::uint64_t first, std::uint64_t rows, std::span<const std::byte> scales) const {
  if (!output_ || scales.empty()) return 0;
  if (!layout_.swizzled()) {
    context_.output.write_at(context_.offset(*output_, layout_.scale_bytes(first)), scales);
    return scales.size();
  }
  // A band begins with a tile, so the tiles of the rows before it come first.
  const auto tiles = swizzled(scales, rows, layout_.groups_across());
  context_.output.write_at(context_.offset(*output_, formats::Swizzle(layout_.groups_across()).bytes(first)), tiles);
  return tiles.size();
}

}  // namespace halftone::exec
