#pragma once

#include <cmath>
#include <map>
#include <string>

namespace halftone::verify {

/// How far learned rounding has taken a layer from its weight W, besides what its format explains: its codes stand for W′,
/// and are rounded off it.
struct LearnedNoise {
  double squared_error = 0;  ///< ‖Ŵ - W′‖², of all elements
  double change = 0;         ///< ‖W′ - W‖² / ‖W‖²

  /// What ‖Ŵ - W‖² is at most, where ‖W‖² is `signal`.
  [[nodiscard]] double most(double signal) const {
    const double distance = std::sqrt(squared_error) + std::sqrt(change * signal);
    return distance * distance;
  }
};

/// By the names of layers.
using LearnedNoises = std::map<std::string, LearnedNoise>;

}  // namespace halftone::verify
