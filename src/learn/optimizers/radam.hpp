#pragma once

#include "learn/optimizers/adam_moments.hpp"
#include "learn/optimizers/usual_optimizer.hpp"
#include "learn/schedule.hpp"

namespace halftone::learn {

/// RAdam (Liu et al., 2020), without weight decay: the first five steps do not divide by the second moment.
struct RAdam : UsualOptimizer {
  static constexpr int kMoments = 2;
  static constexpr UsualIterations kUsualIterations{.cpu = 640, .gpu = 640};

  struct Scalars {
    float step_size;  ///< the rate, over what the first moment lacks for its start at 0
    float rectified;  ///< what multiplies an adaptive step besides; 0 for a step that is none
  };

  static HALFTONE_HD void prepare(Scalars& scalars, const OptimizerVariant&, const LoopState& state) {
    constexpr double longest = 2.0 / (1.0 - adam::kBeta2) - 1.0;
    const double steps = state.iterations;
    const double power = std::pow(adam::kBeta2, steps);
    const double length = longest - 2.0 * steps * power / (1.0 - power);
    scalars.step_size = static_cast<float>(state.previous_rate / (1.0 - std::pow(adam::kBeta1, steps)));
    scalars.rectified = 0.0F;
    if (length <= 5.0) return;
    const double variance = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length);
    scalars.rectified = static_cast<float>(std::sqrt(variance) * std::sqrt(1.0 - power));
  }
  [[nodiscard]] static HALFTONE_HD float step(const Scalars& scalars, float x, float gradient, float* moments) {
    adam::average(moments, gradient);
    const float whole = scalars.step_size * moments[0];
    if (scalars.rectified == 0.0F) return x - whole;
    return x - whole * (scalars.rectified / (std::sqrt(moments[1]) + adam::kEpsilon));
  }
};

}  // namespace halftone::learn
