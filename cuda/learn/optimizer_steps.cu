// Loops over codes that are real numbers: the state of a loop, and the steps of optimizers that look at one element.

#include "learn/optimizer_elements.cuh"
#include "learn/optimizer_launches.hpp"

namespace halftone::cuda {
namespace {

using learn::OptimizerRun;
using learn::StopReason;

template <class O>
__global__ void advance_kernel(OptimizerRun run, const double* squared_loss) {
  learn::advance(*run.state, run.schedule, std::sqrt(*squared_loss));
  if (run.state->stop != StopReason::none) return;
  O::prepare(*static_cast<typename O::Scalars*>(run.scalars), run.variant, *run.state);
}

template <class O>
__global__ void __launch_bounds__(kRowThreads) step_kernel(OptimizerRun run) {
  const bool improved = run.state->improved;
  const bool stopped = run.state->stop != StopReason::none;
  if (stopped && !improved) return;
  const typename O::Scalars scalars = *static_cast<const typename O::Scalars*>(run.scalars);
  for_optimizer_rows<O>(run, [&](const OptimizerElement& e) {
    const float offset = run.offsets[e.at];
    if (improved) run.best[e.at] = offset;
    if (stopped) return;
    float moments[2] = {};
    for (int i = 0; i < O::kMoments; ++i) moments[i] = run.moments[i][e.at];
    const float next = O::step(scalars, offset, e.gradient, moments);
    for (int i = 0; i < O::kMoments; ++i) run.moments[i][e.at] = moments[i];
    place<O>(run, e, next);
  });
}

__global__ void __launch_bounds__(kRowThreads)
    errors_at_kernel(const std::uint8_t* levels, const float* offsets, learn::Matrix weight, learn::Grid grid, learn::Matrix errors) {
  for_rows(weight.rows, weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    const std::uint64_t at = row * weight.columns + column;
    const float scale = grid.scales[row * grid.groups + grid.group_of[column]];
    errors.data[at] = learn::error_at(grid.levels->values[levels[at]], offsets[at], scale, weight.data[at]);
  });
}

}  // namespace

void launch_advance(const OptimizerRun& run, const double* squared_loss, cudaStream_t stream) {
  learn::with_optimizer(run.optimizer, [&]<class O>(O) { advance_kernel<O><<<1, 1, 0, stream>>>(run, squared_loss); });
  check_launch("advance an optimizer");
}

void launch_optimizer_step(const OptimizerRun& run, cudaStream_t stream) {
  learn::with_optimizer(run.optimizer, [&]<class O>(O) {
    if constexpr (O::kNeedsSums) {
      launch_prodigy_step(run, stream);
    } else {
      step_kernel<O><<<blocks_for_rows(run), kRowThreads, 0, stream>>>(run);
    }
  });
  check_launch("make a step of an optimizer");
}

void launch_errors_at(const std::uint8_t* levels, const float* offsets, const learn::Matrix& weight, const learn::Grid& grid,
                      const learn::Matrix& errors, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(weight.rows < kMostBlocks ? weight.rows : kMostBlocks);
  errors_at_kernel<<<blocks, kRowThreads, 0, stream>>>(levels, offsets, weight, grid, errors);
  check_launch("find the errors of codes");
}

}  // namespace halftone::cuda
