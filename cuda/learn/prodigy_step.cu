// The passes of a step of Prodigy over the elements.

#include "learn/prodigy_passes.cuh"

namespace halftone::cuda {
namespace {

using learn::kSumParts;

__global__ void __launch_bounds__(kRowThreads) keep_average_kernel(OptimizerRun run) {
  if (!run.state->improved) return;
  const float* offsets = run.offsets[run.state->slot];
  for_places<1>(run.weight.rows, run.weight.columns,
                [&](const Place& place) { run.average[place.at] = Prodigy::average(offsets[place.at], run.moments[0][place.at]); });
}

/// Pass 2: moves the moments of elements, adds up the squares of updates and what d is estimated from.  kPlain: second
/// moments are factored, there is a first moment, and rows have one scale.
template <class T, int kWide, bool kPlain>
__global__ void __launch_bounds__(kRowThreads) updates_kernel(OptimizerRun run, Exchange<T> exchange) {
  if (stopped(run)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const OptimizerScratch scratch(run);
  const float factor = gradient_factor(run, exchange);
  const bool factored = kPlain || is_factored(run);
  const bool has_moment = kPlain || !run.variant.schedule_free;
  const double all_moments = factored ? sum_of_parts(scratch.row_sums, (run.weight.rows + kRowThreads - 1) / kRowThreads) : 0.0;
  const auto mean = static_cast<float>(all_moments / static_cast<double>(run.weight.rows));
  Prodigy::Sums sums{};
  double squares = 0;
  for_places<kWide>(run.weight.rows, run.weight.columns, [&](const Place& place) {
    float scales[kWide];
    float gradients[kWide];
    float numerators[kWide];
    if (has_moment) load_stream(run.moments[0] + place.at, numerators);
    load_scales<kPlain>(run.grid, place, scales);
    SecondMoments<kWide> second = load_second_moments<kWide>(run, scratch, run.row_moments, factored, place);
    load_gradients<Prodigy>(run, exchange, factor, place, scales, gradients);
    const float row_root = factored ? Prodigy::row_root(second.row, mean) : 1.0F;
    if (factored && place.column == 0) scratch.row_roots[place.row] = row_root;
    for (int i = 0; i < kWide && !factored; ++i) {
      float& moment = run.moments[1][place.at + i];
      moment = Prodigy::second_moment(s, moment, gradients[i] * gradients[i]);
      second.roots[i] = std::sqrt(moment);
    }
    for (int i = 0; i < kWide; ++i) {
      numerators[i] = has_moment ? Prodigy::first_moment(s, numerators[i], gradients[i]) : s.gradient_factor * gradients[i];
    }
    if (has_moment) store_stream(numerators, run.moments[0] + place.at);
    float updates[kWide];
    find_updates(s, row_root, second, numerators, updates);
    float few = 0;
    for (const float update : updates) few += update * update;
    squares += static_cast<double>(few);
    const Sampled sampled = sampled_at(place);
    sample(
        run, s, sampled, decayed_sum_at<kWide>(run, sampled), gradients, [&](const Sampled& one) { return run.sampled[one.number]; }, sums);
  });
  finish_step(run, scratch, squares, sums);
}

/// Keeps the variable at the sampled element of a place, if there is one.
template <int kWide>
__device__ void keep_sampled(const OptimizerRun& run, const Place& place, const float (&variable)[kWide]) {
  const Sampled sampled = sampled_at(place);
  if (sampled.index < kWide) run.sampled[sampled.number] = element_at(variable, sampled.index);
}

/// Pass 3.
template <class T, int kWide, bool kPlain>
__global__ void __launch_bounds__(kRowThreads) move_kernel(OptimizerRun run, Exchange<T> exchange) {
  if (stopped(run)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const OptimizerScratch scratch(run);
  const bool factored = kPlain || is_factored(run);
  const bool schedule_free = !kPlain && run.variant.schedule_free;
  const float factor = schedule_free ? gradient_factor(run, exchange) : 0.0F;
  const auto clip = static_cast<float>(*scratch.clip);
  const float* slot = run.offsets[run.state->slot];
  float* next = learn::next_offsets(run);
  for_places<kWide>(run.weight.rows, run.weight.columns, [&](const Place& place) {
    float scales[kWide];
    float moments[kWide];
    float offsets[kWide];
    float errors[kWide];
    load_stream(run.moments[0] + place.at, moments);
    load_stream(slot + place.at, offsets);
    load_stream(run.first_errors + place.at, errors);
    load_scales<kPlain>(run.grid, place, scales);
    const SecondMoments<kWide> second = load_second_moments<kWide>(run, scratch, scratch.row_roots, factored, place);
    float updates[kWide];
    if (schedule_free) {
      float numerators[kWide];
      load_gradients<Prodigy>(run, exchange, factor, place, scales, numerators);
      for (float& numerator : numerators) numerator *= s.gradient_factor;
      find_updates(s, second.row, second, numerators, updates);
    } else {
      find_updates(s, second.row, second, moments, updates);
    }
    for (int i = 0; i < kWide; ++i) {
      if (schedule_free) {
        Prodigy::move_both(s, offsets[i], moments[i], updates[i] * clip);
      } else {
        offsets[i] = Prodigy::move(s, offsets[i], updates[i] * clip);
      }
    }
    if (schedule_free) store_stream(moments, run.moments[0] + place.at);
    keep_sampled(run, place, schedule_free ? moments : offsets);
    put(exchange, place, scales, offsets, errors, next);
  });
}

template <int kWide, bool kPlain, class T>
void launch_passes(const OptimizerRun& run, const Exchange<T>& exchange, cudaStream_t stream) {
  updates_kernel<T, kWide, kPlain><<<blocks_for(run, kWide, kSumParts), kRowThreads, 0, stream>>>(run, exchange);
  move_kernel<T, kWide, kPlain><<<blocks_for(run, kWide, kMostBlocks), kRowThreads, 0, stream>>>(run, exchange);
}

}  // namespace

template <class T>
void launch_step(Prodigy, const OptimizerRun& run, const Exchange<T>& exchange, cudaStream_t stream) {
  if (run.average != nullptr) keep_average_kernel<<<blocks_for(run, 1, kMostBlocks), kRowThreads, 0, stream>>>(run);
  if (Prodigy::is_factored(run.weight.rows, run.weight.columns)) launch_squares(run, exchange, false, stream);
  with_width(run, [&]<int kWide>(std::integral_constant<int, kWide>) {
    is_plain(run) && run.grid.groups == 1 ? launch_passes<kWide, true>(run, exchange, stream)
                                          : launch_passes<kWide, false>(run, exchange, stream);
  });
  check_launch("make a step of Prodigy");
}
template void launch_step(Prodigy, const OptimizerRun&, const Exchange<float>&, cudaStream_t);
template void launch_step(Prodigy, const OptimizerRun&, const Exchange<__half>&, cudaStream_t);

}  // namespace halftone::cuda
