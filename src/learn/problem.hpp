#pragma once

#include <cstdint>
#include <string>

#include "learn/engine.hpp"

namespace halftone::learn {

/// A weight whose codes are being chosen, in the memory of an engine.
struct Layer {
  Matrix weight;           ///< without gaps
  Matrix errors;           ///< of `levels`: value - weight
  std::uint8_t* levels{};  ///< those of rounding to nearest, rows × columns
  Grid grid;

  [[nodiscard]] std::uint64_t rows() const noexcept { return weight.rows; }
  [[nodiscard]] std::uint64_t columns() const noexcept { return weight.columns; }
  [[nodiscard]] std::uint64_t elements() const noexcept { return weight.rows * weight.columns; }
};

/// What a method did to a layer, by its own measure and by the others.
struct Outcome {
  double loss = 0;           ///< ‖Uᵀ E V‖, where the method has a basis
  double nearest_loss = 0;   ///< the same of rounding to nearest
  double squared_error = 0;  ///< ‖E‖²
  double nearest_squared_error = 0;
  double output_error = 0;  ///< tr(E H Eᵀ), where the method has second moments
  double nearest_output_error = 0;
  std::uint64_t rank = 0;         ///< columns of the basis; 0 without
  std::uint64_t wanted_rank = 0;  ///< more than `rank` where the weight has not so many directions
  double captured_energy = 0;     ///< the part of ‖W‖² that the basis holds
  double basis_residual = 0;      ///< how far the basis is from being invariant: 0 is exact
  double damping = 0;             ///< what was added to the normalised second moments' diagonal
  int iterations = 0;
  std::string stop_reason;  ///< why it ended there; empty where that was foreseen
};

}  // namespace halftone::learn
