// Loops over codes that are real numbers: the state of a loop, and the steps of optimizers that look at one element.

#include "learn/optimizer_elements.cuh"
#include "learn/optimizer_launches.hpp"

namespace halftone::cuda {
namespace {

using learn::OptimizerRun;
using learn::StopReason;

/// `change`: null, or what the last step of a lagged run changes `measured` by, but for its factor.
template <class O>
__global__ void __launch_bounds__(kRowThreads) advance_kernel(OptimizerRun run, learn::Matrix measured, const float* change) {
  if (run.state->stop != StopReason::none) return;
  const OptimizerScratch scratch(run);
  const std::uint64_t n = measured.rows * measured.columns;
  const std::uint64_t step = std::uint64_t{gridDim.x} * kRowThreads;
  const auto factor = static_cast<float>(scratch.lag->last.factor);
  double sum = 0;
#pragma unroll 4
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * kRowThreads + threadIdx.x; i < n; i += step) {
    float value = measured.data[i];
    if (change != nullptr) {
      value -= factor * change[i];
      measured.data[i] = value;
    }
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  sum = block_total(sum);
  if (threadIdx.x == 0) scratch.parts[blockIdx.x] = sum;
  if (!is_last_block(&scratch.tickets[0])) return;
  const double squared_loss = sum_of_parts(scratch.parts, gridDim.x);
  if (threadIdx.x != 0) return;
  learn::advance(*run.state, run.schedule, std::sqrt(squared_loss));
  if (run.state->stop != StopReason::none) return;
  O::prepare(*static_cast<typename O::Scalars*>(run.scalars), run.variant, *run.state);
}

/// The offsets that `limited` leaves, where there is a limit.
template <class O, int kWide>
__device__ void limit(const OptimizerRun& run, const Place& place, float (&offsets)[kWide]) {
  if constexpr (O::kPreconditioned) {
    if (run.rule.limit == 0.0F) return;
    for (int i = 0; i < kWide; ++i) {
      const float value = run.grid.levels->values[run.levels[place.at + static_cast<unsigned>(i)]];
      offsets[i] = learn::limited<O>(run.rule, value, offsets[i]);
    }
  }
}

template <class O, class T, int kWide>
__global__ void __launch_bounds__(kRowThreads) step_kernel(OptimizerRun run, Exchange<T> exchange) {
  if (run.state->stop != StopReason::none) return;
  const typename O::Scalars scalars = *static_cast<const typename O::Scalars*>(run.scalars);
  const float factor = gradient_factor(run, exchange);
  const float* slot = run.offsets[run.state->slot];
  float* next = learn::next_offsets(run);
  for_places<kWide>(run.weight.rows, run.weight.columns, [&](const Place& place) {
    float scales[kWide];
    float gradients[kWide];
    float offsets[kWide];
    float moments[2][kWide];
    float errors[kWide];
    load_stream(run.first_errors + place.at, errors);
    load_scales(run.grid, place, scales);
    load_gradients<O>(run, exchange, factor, place, scales, gradients);
    load_stream(slot + place.at, offsets);
#pragma unroll
    for (int m = 0; m < O::kMoments; ++m) load_stream(run.moments[m] + place.at, moments[m]);
#pragma unroll
    for (int i = 0; i < kWide; ++i) {
      float own[2] = {moments[0][i], moments[1][i]};
      offsets[i] = O::step(scalars, offsets[i], gradients[i], own);
      moments[0][i] = own[0];
      moments[1][i] = own[1];
    }
#pragma unroll
    for (int m = 0; m < O::kMoments; ++m) store_stream(moments[m], run.moments[m] + place.at);
    limit<O>(run, place, offsets);
    put(exchange, place, scales, offsets, errors, next);
  });
}

__global__ void __launch_bounds__(kRowThreads)
    errors_at_kernel(learn::Matrix first, const float* offsets, learn::Grid grid, learn::Matrix errors) {
  for_rows(first.rows, first.columns, [&](std::uint64_t row, std::uint64_t column) {
    const std::uint64_t at = row * first.columns + column;
    errors.data[at] = learn::error_at(first.data[at], offsets[at], grid.scales[row * grid.groups + grid.group_of[column]]);
  });
}

}  // namespace

void launch_lagged_advance(const OptimizerRun& run, const learn::Matrix& inside, const learn::Matrix& change, cudaStream_t stream) {
  constexpr std::uint64_t by_thread = 4;
  const std::uint64_t wanted = (inside.rows * inside.columns + by_thread * kRowThreads - 1) / (by_thread * kRowThreads);
  const auto blocks = static_cast<unsigned>(wanted < learn::kSumParts ? wanted : learn::kSumParts);
  learn::with_optimizer(run.optimizer,
                        [&]<class O>(O) { advance_kernel<O><<<blocks, kRowThreads, 0, stream>>>(run, inside, change.data); });
  check_launch("advance an optimizer");
}

void launch_advance(const OptimizerRun& run, const learn::Matrix& measured, cudaStream_t stream) {
  launch_lagged_advance(run, measured, {}, stream);
}

template <class T>
void launch_optimizer_step(const OptimizerRun& run, const Exchange<T>& exchange, cudaStream_t stream) {
  learn::with_optimizer(run.optimizer, [&]<class O>(O) {
    if constexpr (O::kElementwise) {
      with_width(run, [&]<int kWide>(std::integral_constant<int, kWide>) {
        step_kernel<O, T, kWide><<<blocks_for(run, kWide, kMostBlocks), kRowThreads, 0, stream>>>(run, exchange);
      });
    } else {
      launch_step(O{}, run, exchange, stream);
    }
  });
  check_launch("make a step of an optimizer");
}
template void launch_optimizer_step(const OptimizerRun&, const Exchange<float>&, cudaStream_t);
template void launch_optimizer_step(const OptimizerRun&, const Exchange<__half>&, cudaStream_t);

void launch_optimizer_step(const OptimizerRun& run, cudaStream_t stream) { launch_optimizer_step(run, exchange_of(run), stream); }

void launch_errors_at(const learn::Matrix& first, const float* offsets, const learn::Grid& grid, const learn::Matrix& errors,
                      cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(first.rows < kMostBlocks ? first.rows : kMostBlocks);
  errors_at_kernel<<<blocks, kRowThreads, 0, stream>>>(first, offsets, grid, errors);
  check_launch("find the errors of codes");
}

}  // namespace halftone::cuda
