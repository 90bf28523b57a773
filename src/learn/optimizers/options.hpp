#pragma once

namespace halftone::learn {

/// What an optimizer may be told; only `prodigy` listens.
struct OptimizerOptions {
  bool speed = false;          ///< estimate the step size from the progress along the path instead of the gradients' sums
  bool schedule_free = false;  ///< average iterates in place of a first moment
};

}  // namespace halftone::learn
