#pragma once

#include <halftone/learn.hpp>

namespace halftone::learn {

/// Passes that flip elements to a neighbouring level.
struct FlipEffort {
  int passes = 8;            ///< at most
  double least_gain = 0.01;  ///< the part of the loss that a pass is to take off
  bool goes_on = false;      ///< after less, passes flip fewer elements; else it was the last
  double pull = 10;          ///< to the rounded target, in (rank of the basis)² per element: less lets the squared error grow
};

/// What an effort is spent on.
struct EffortNumbers {
  int power_iterations;  ///< usual ones (basis.hpp), that draw a random subspace to the leading singular vectors
  FlipEffort flips;      ///< of a projection
  double budget;         ///< of a projection: by what part the squared error may grow over that of rounding to nearest
  int sweeps;            ///< of feedback, after the first rounding
};

[[nodiscard]] constexpr EffortNumbers numbers_of(Effort effort) {
  switch (effort) {
    case Effort::fast: return {.power_iterations = 1, .flips = {}, .budget = 0.05, .sweeps = 0};
    case Effort::best:
      return {.power_iterations = 8, .flips = {.passes = 32, .least_gain = 0.002, .goes_on = true, .pull = 3}, .budget = 0.07, .sweeps = 3};
    case Effort::usual: break;
  }
  return {.power_iterations = 3, .flips = {}, .budget = 0.05, .sweeps = 1};
}

/// Of a low-rank correction: errors of quantization have a nearly flat spectrum, of which power iterations separate the
/// directions slowly.
inline constexpr int kLoraPowerIterations = 8;

}  // namespace halftone::learn
