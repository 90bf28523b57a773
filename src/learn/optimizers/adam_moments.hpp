#pragma once

#include <cmath>

#include <halftone/codec/hd.hpp>

namespace halftone::learn::adam {

// What AdamW and RAdam share: PyTorch's defaults, and the moments.

inline constexpr double kBeta1 = 0.9;
inline constexpr double kBeta2 = 0.999;
inline constexpr float kEpsilon = 1e-8F;

/// Moves the moving averages of the gradient and of its square.
HALFTONE_HD void average(float* moments, float gradient) {
  moments[0] += static_cast<float>(1.0 - kBeta1) * (gradient - moments[0]);
  moments[1] = static_cast<float>(kBeta2) * moments[1] + static_cast<float>(1.0 - kBeta2) * gradient * gradient;
}

}  // namespace halftone::learn::adam
