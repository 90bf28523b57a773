#pragma once

#include "learn/basis.hpp"
#include "learn/effort.hpp"
#include "learn/problem.hpp"

namespace halftone::learn {

struct ProjectOptions {
  int descents = 10;                                 ///< roundings with the error in the basis fed back
  double budget = numbers_of(Effort::usual).budget;  ///< of the squared error
  FlipEffort flips = numbers_of(Effort::usual).flips;
  std::uint64_t seed = 0;  ///< of the choice of elements that may flip
};

/// Chooses `levels`, of `layer`, so that the loss ‖Uᵀ E V‖ is small: roundings of W + U C Vᵀ, where C gathers the error
/// with shrinking steps, then flips of the elements that take most off the loss for what they add to the error.
[[nodiscard]] Outcome project(Engine& engine, const Layer& layer, const Basis& basis, const ProjectOptions& options, std::uint8_t* levels);

/// Sets `levels` to those that the values of rounding to nearest, less the part of their error that lies in the basis, are rounded to:
/// where the reference's optimizer `original` ends.
[[nodiscard]] Outcome closed_form(Engine& engine, const Layer& layer, const Basis& basis, std::uint8_t* levels);

}  // namespace halftone::learn
