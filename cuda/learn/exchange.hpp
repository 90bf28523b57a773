#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "learn/optimizer_run.hpp"

namespace halftone::cuda {

/// How the step of an optimizer is given the gradients by the values, and gives back errors: as elements of T, float or
/// __half, without gaps.
template <class T>
struct Exchange {
  const T* gradient = nullptr;
  T* errors = nullptr;
  bool is_normalised = false;    ///< the gradient is that of the loss, else that of half its square
  float gradient_factor = 1.0F;  ///< of a normalised one: what its elements are multiplied with
  float error_factor = 1.0F;     ///< what errors are multiplied with before they are stored
};

/// That of a run whose matrices are binary32.
[[nodiscard]] inline Exchange<float> exchange_of(const learn::OptimizerRun& run) {
  return {.gradient = run.gradient.data, .errors = run.errors.data};
}

/// learn::Engine::optimizer_step() with gradients and errors of T.
template <class T>
void launch_optimizer_step(const learn::OptimizerRun& run, const Exchange<T>& exchange, cudaStream_t stream);

// Prodigy in one pass over the elements: offsets move late, and what a step gives back are not the errors but the updates
// times their scales, by which U' E V changes: launch_lagged_advance() takes that off.  Steps come in pairs, of which the
// first leaves moments and offsets as they are, and the second makes the moves of both.

/// Whether `run` can be carried out so.
[[nodiscard]] bool can_lag(const learn::OptimizerRun& run);
/// The step of an odd iteration, the first one being 1.
void launch_first_step(const learn::OptimizerRun& run, const Exchange<__half>& exchange, cudaStream_t stream);
/// That of an even one; `former_gradient`: what the first step has had.
void launch_second_step(const learn::OptimizerRun& run, const Exchange<__half>& exchange, const __half* former_gradient,
                        cudaStream_t stream);
/// learn::Engine::advance() with `inside` less the last step of what its updates changed, `change`.
void launch_lagged_advance(const learn::OptimizerRun& run, const learn::Matrix& inside, const learn::Matrix& change, cudaStream_t stream);

}  // namespace halftone::cuda
