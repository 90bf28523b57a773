// Prodigy in one pass over the elements (exchange.hpp).

#include "learn/prodigy_passes.cuh"

namespace halftone::cuda {
namespace {

/// Elements that a thread takes at a time.
constexpr int kWide = 8;

/// Passes 3 of the last step and 2 of this one in one go: offsets are moved late, by what `lag` says of the last step, and
/// what is given back are not errors but the updates times their scales, by which errors change.
template <class T>
__global__ void __launch_bounds__(kRowThreads, 3) lagged_kernel(OptimizerRun run, Exchange<T> exchange) {
  const OptimizerScratch scratch(run);
  const bool only_moves = stopped(run);
  const Lag lag = *scratch.lag;
  if (only_moves && (lag.flushed != 0 || !run.state->improved)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const Prodigy::Scalars last{.epsilon = lag.step > 0 ? lag.epsilon : 1.0F};
  const auto step = static_cast<float>(lag.step);
  const double all_moments = sum_of_parts(scratch.row_sums, (run.weight.rows + kRowThreads - 1) / kRowThreads);
  const auto mean = static_cast<float>(all_moments / static_cast<double>(run.weight.rows));
  const std::uint64_t turn = turn_of(run);
  const float* former_columns = scratch.column_roots + (1 - turn) * run.weight.columns;
  const float* former_rows = scratch.row_roots + (1 - turn) * run.weight.rows;
  const float* columns = scratch.column_roots + turn * run.weight.columns;
  float* rows = scratch.row_roots + turn * run.weight.rows;
  const float* slot = run.offsets[lag.slot];
  float* next = run.offsets[run.state->slot];
  Prodigy::Sums sums{};
  double squares = 0;
  for_places<kWide>(run.weight.rows, run.weight.columns, [&](const Place& place) {
    float moments[kWide];
    float offsets[kWide];
    float updates[kWide];
    SecondMoments<kWide> former;
    load_stream(run.moments[0] + place.at, moments);
    load_stream(slot + place.at, offsets);
    former.row = former_rows[place.row];
    load(former_columns + place.column, former.roots);
    if (only_moves) {
      find_updates(last, former.row, former, moments, updates);
      for (int i = 0; i < kWide; ++i) offsets[i] -= step * updates[i];
      store_stream(offsets, next + place.at);
      return;
    }
    float scales[kWide];
    float gradients[kWide];
    SecondMoments<kWide> second;
    load_scales<true>(run.grid, place, scales);
    load_gradients<Prodigy>(run, exchange, exchange.gradient_factor, place, scales, gradients);
    second.row = run.row_moments[place.row];
    load(columns + place.column, second.roots);
    find_updates(last, former.row, former, moments, updates);
    for (int i = 0; i < kWide; ++i) {
      offsets[i] -= step * updates[i];
      moments[i] = Prodigy::first_moment(s, moments[i], gradients[i]);
    }
    const float row_root = Prodigy::row_root(second.row, mean);
    if (place.column == 0) rows[place.row] = row_root;
    find_updates(s, row_root, second, moments, updates);
    sample(
        run, s, place, gradients,
        [&](std::uint64_t, unsigned own) {
          float x = offsets[0];
#pragma unroll
          for (unsigned i = 1; i < kWide; ++i) x = i == own ? offsets[i] : x;
          return x;
        },
        sums);
    store_stream(offsets, next + place.at);
    store_stream(moments, run.moments[0] + place.at);
    float few = 0;
    for (int i = 0; i < kWide; ++i) {
      few += updates[i] * updates[i];
      updates[i] *= scales[i] * exchange.error_factor;
    }
    squares += static_cast<double>(few);
    store(updates, exchange.errors + place.at);
  });
  if (!only_moves) return finish_step(run, scratch, squares, sums);
  if (is_last_block(&scratch.tickets[3]) && threadIdx.x == 0) scratch.lag->flushed = 1;
}

}  // namespace

bool can_lag(const OptimizerRun& run) { return is_plain(run) && run.weight.columns % kWide == 0 && !run.is_observed; }

void launch_lagged_step(const OptimizerRun& run, const Exchange<__half>& exchange, cudaStream_t stream) {
  launch_squares(run, exchange, true, stream);
  lagged_kernel<<<blocks_for(run, kWide, learn::kSumParts), kRowThreads, 0, stream>>>(run, exchange);
  check_launch("make a step of Prodigy");
}

}  // namespace halftone::cuda
