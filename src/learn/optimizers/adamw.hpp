#pragma once

#include "learn/optimizers/adam_moments.hpp"
#include "learn/optimizers/usual_optimizer.hpp"
#include "learn/schedule.hpp"

namespace halftone::learn {

/// AdamW (Loshchilov and Hutter, 2019) in the order of operations of PyTorch.
struct AdamW : UsualOptimizer {
  static constexpr int kMoments = 2;
  static constexpr UsualIterations kUsualIterations{.cpu = 640, .gpu = 640};
  static constexpr double kWeightDecay = 0.01;

  struct Scalars {
    float kept;       ///< what weight decay leaves of x
    float step_size;  ///< the rate, over what the first moment lacks for its start at 0
    float root;       ///< of what the second moment lacks
  };

  static HALFTONE_HD void prepare(Scalars& scalars, const OptimizerVariant&, const LoopState& state) {
    const double rate = state.previous_rate;
    const double steps = state.iterations;
    scalars.kept = static_cast<float>(1.0 - rate * kWeightDecay);
    scalars.step_size = static_cast<float>(rate / (1.0 - std::pow(adam::kBeta1, steps)));
    scalars.root = static_cast<float>(std::sqrt(1.0 - std::pow(adam::kBeta2, steps)));
  }
  [[nodiscard]] static HALFTONE_HD float step(const Scalars& scalars, float x, float gradient, float* moments) {
    adam::average(moments, gradient);
    const float denominator = std::sqrt(moments[1]) / scalars.root + adam::kEpsilon;
    return x * scalars.kept - scalars.step_size * (moments[0] / denominator);
  }
};

}  // namespace halftone::learn
