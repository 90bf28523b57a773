#include "exec/scale_writer.hpp"

#include "formats/swizzle.hpp"

namespace halftone::exec {
std::uint64_t ScaleWriter::write(std::uint64_t first, std::span<const std::byte> scales) const {
  if (!output_ || scales.empty()) return 0;
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

}  // namespace halftone::exec
