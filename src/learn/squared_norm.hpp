#pragma once

#include "learn/basis.hpp"
#include "learn/memory.hpp"

namespace halftone::learn {

/// ‖a‖², of elements without gaps and of any magnitude: their squares may be outside of binary32.
[[nodiscard]] inline double squared_norm_of(MatrixEngine& engine, const Matrix& a) {
  Memory scratch(engine);
  const auto [matrix, factor] = of_usual_size(engine, scratch, a);
  const auto scale = static_cast<double>(factor);
  return engine.squared_norm(matrix) / scale / scale;
}

}  // namespace halftone::learn
