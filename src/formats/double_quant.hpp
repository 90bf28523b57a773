#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace halftone::formats {

// Double quantization as bitsandbytes has it: the F32 scales of a layer, less their mean, become 8-bit codes of a table,
// with an F32 magnitude for each block of them.

/// Scales that share a magnitude.
inline constexpr std::uint32_t kNestedBlock = 256;
/// Codes of the table.
inline constexpr std::size_t kNestedLevels = 256;

/// The table that bitsandbytes calls dynamic, ascending from -0.993 to 1: in each decade, half as many levels as in the
/// next larger one.
[[nodiscard]] const std::vector<float>& dynamic_levels();

/// Double-quantized scales.
struct NestedScales {
  std::vector<std::uint8_t> codes;
  std::vector<float> magnitudes;  ///< one for each kNestedBlock of them
  float offset = 0;               ///< the mean of the scales
};

/// Quantizes `scales`: the nearest level, of two equally near ones the lower.
[[nodiscard]] NestedScales nest(std::span<const float> scales);

/// Memory for `n` scales and what nest() makes of them.
[[nodiscard]] constexpr std::uint64_t nesting_bytes(std::uint64_t n) {
  return n * (sizeof(float) + 1) + (n / kNestedBlock + 1) * sizeof(float);
}

/// The scale behind a code.
[[nodiscard]] inline float nested_scale(float level, float magnitude, float offset) { return level * magnitude + offset; }

/// Double-quantized scales as a file holds them: a code each, and F32 magnitudes and levels.
struct StoredNest {
  std::span<const std::byte> codes;
  std::span<const std::byte> magnitudes;
  std::span<const std::byte> levels;  ///< kNestedLevels of them
  float offset = 0;
};

/// The scales behind the codes [first, first + count), as bitsandbytes computes them.
[[nodiscard]] std::vector<float> unnested(const StoredNest& nest, std::uint64_t first, std::uint64_t count);

/// Characters that a JSON text of a layer keeps free for the offset, which is not known when the text is laid out.
inline constexpr std::size_t kOffsetWidth = 24;
/// `offset` as a JSON number, filled up with blanks to kOffsetWidth.
[[nodiscard]] std::string offset_text(float offset);

}  // namespace halftone::formats
