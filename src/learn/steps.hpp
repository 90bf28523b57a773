#pragma once

#include <cstdint>

#include <halftone/codec/hd.hpp>

#include "learn/levels.hpp"

namespace halftone::learn {

// What is done to one element, in one order of binary32 operations, for loops on the host and kernels.  Tables have the
// members of Levels.

/// A level and the value that it stands for.
struct Rounded {
  std::uint32_t level;
  float value;
};

/// The level nearest to `target`; where the scale is 0, the lowest of those that stand for 0 or less.
template <class Table>
[[nodiscard]] HALFTONE_HD Rounded round_to(const Table& levels, float target, float scale) {
  const std::uint32_t level = nearest_level(levels.thresholds, scale > 0.0F ? target / scale : 0.0F);
  return {level, levels.values[level] * scale};
}

/// The neighbouring level that takes most off the loss, and what it takes off.
struct Flip {
  std::uint32_t level;
  float value;   ///< of the level
  float gain;    ///< of the loss and the pull together; not positive where there is no such level
  float linear;  ///< what the loss falls to first order
};

/// `value`: of the level that the element has.  `gradient`: of half the loss.  `curvature`: of the loss, by the element.
template <class Table>
[[nodiscard]] HALFTONE_HD Flip best_flip(const Table& levels, std::uint32_t level, float value, float scale, float target, float gradient,
                                         float curvature, float pull) {
  const float slope = gradient + pull * (value - target);
  const bool up = slope < 0.0F;
  const bool exists = up ? level + 1 < levels.count : level > 0;
  if (!exists || slope == 0.0F) return {level, value, 0.0F, 0.0F};
  const std::uint32_t next = up ? level + 1 : level - 1;
  const float next_value = levels.values[next] * scale;
  const float step = next_value - value;
  return {next, next_value, -(2.0F * step * slope + step * step * (curvature + pull)), -step * gradient};
}

/// The bin of a positive gain.
[[nodiscard]] HALFTONE_HD std::uint32_t gain_bin(float gain) { return codec::bits(gain) >> 21; }

}  // namespace halftone::learn
