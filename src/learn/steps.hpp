#pragma once

#include <cstdint>

#include <halftone/codec/hd.hpp>

#include "learn/levels.hpp"
#include "learn/philox.hpp"

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

/// The neighbouring level that takes most off the loss and the pull together.
struct Flip {
  std::uint32_t level;
  float value;  ///< of the level
  float gain;   ///< what the squared loss and the pull fall; not positive where there is no such level, or the loss would not fall to first
                ///< order
  float linear;  ///< what half the squared loss falls to first order
};

/// `value`: of the level that the element has.  `gradient`: of half the squared loss.  `curvature`: of the squared loss, by the element.
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
  const float linear = -step * gradient;
  if (!(linear > 0.0F)) return {level, value, 0.0F, linear};
  return {next, next_value, -(2.0F * step * slope + step * step * (curvature + pull)), linear};
}

/// Whether the element at place `at` may flip in a pass that lets one of 2^halvings, by chance: the same ones on every device.
[[nodiscard]] HALFTONE_HD bool may_flip(std::uint64_t at, unsigned halvings, std::uint64_t seed) {
  if (halvings == 0) return true;
  return (philox(at, seed).word[0] & ((1U << halvings) - 1U)) == 0;
}

/// The bin of a positive gain.
[[nodiscard]] HALFTONE_HD std::uint32_t gain_bin(float gain) { return codec::bits(gain) >> 21; }

}  // namespace halftone::learn
