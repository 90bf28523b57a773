#pragma once

#include <cstdint>

#include <halftone/codec/hd.hpp>
#include <halftone/format.hpp>

namespace halftone::learn {

/// The values that the codes of a format stand for, in units of the scale, ascending.
struct Levels {
  static constexpr std::uint32_t kMost = 256;

  float values[kMost];
  /// Element i: the smallest number that the format rounds to level i + 1 or a higher one; NaN, which nothing reaches, from
  /// the last level on.  So ties go where the format's own rounding sends them.
  float thresholds[kMost];
  std::uint8_t codes[kMost];
  std::uint32_t count;
};

/// The level that `value`, in units of the scale, is rounded to: the number of thresholds that it reaches.
/// `thresholds`: those of Levels, however they lie in memory.
template <class Thresholds>
[[nodiscard]] HALFTONE_HD std::uint32_t nearest_level(const Thresholds& thresholds, float value) {
  std::uint32_t level = 0;
  for (std::uint32_t step = Levels::kMost / 2; step > 0; step /= 2) level += thresholds[level + step - 1] <= value ? step : 0U;
  return level;
}

/// The levels of `format`, which must have neither rows with scales above those of their groups nor tables of layers.
/// Codes that stand for a value that another code has, too, or that are never written, are left out.
[[nodiscard]] Levels levels_of(const FormatDescriptor& format);

/// The level of each code; codes that are none of the levels get that of their value.
struct LevelOfCode {
  std::uint8_t level[Levels::kMost];
};
[[nodiscard]] LevelOfCode level_of_code(const FormatDescriptor& format, const Levels& levels);

}  // namespace halftone::learn
