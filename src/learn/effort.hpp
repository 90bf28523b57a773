#pragma once

#include <halftone/learn.hpp>

namespace halftone::learn {

/// What an effort is spent on.
struct EffortNumbers {
  int power_iterations;  ///< that draw a random subspace to the leading singular vectors
  int flip_passes;       ///< of a projection, at most
  int sweeps;            ///< of feedback, after the first rounding
};

[[nodiscard]] constexpr EffortNumbers numbers_of(Effort effort) {
  switch (effort) {
    case Effort::fast: return {.power_iterations = 1, .flip_passes = 8, .sweeps = 0};
    case Effort::best: return {.power_iterations = 8, .flip_passes = 32, .sweeps = 3};
    case Effort::usual: break;
  }
  return {.power_iterations = 3, .flip_passes = 8, .sweeps = 1};
}

/// Of a low-rank correction: errors of quantization have a nearly flat spectrum, of which power iterations separate the
/// directions slowly.
inline constexpr int kLoraPowerIterations = 8;

}  // namespace halftone::learn
