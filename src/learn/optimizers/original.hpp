#pragma once

#include <halftone/codec/hd.hpp>

#include "learn/optimizers/usual_optimizer.hpp"
#include "learn/schedule.hpp"

namespace halftone::learn {

/// x ← x - rate · D(G).  Where D(G) is G divided by the scale, the loss becomes |loss - rate|.
struct Original : UsualOptimizer {
  static constexpr int kMoments = 0;
  static constexpr UsualIterations kUsualIterations{.cpu = 500, .gpu = 500};
  static constexpr bool kPreconditioned = true;

  struct Scalars {
    float rate;
  };

  static HALFTONE_HD void prepare(Scalars& scalars, const OptimizerVariant&, const LoopState& state) {
    scalars.rate = static_cast<float>(state.rate);
  }
  [[nodiscard]] static HALFTONE_HD float step(const Scalars& scalars, float x, float gradient, float*) {
    return x - scalars.rate * gradient;
  }
};

}  // namespace halftone::learn
