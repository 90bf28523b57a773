#pragma once

// What the passes of a step of Prodigy have in common.  Sums are made of a fixed number of parts, in one order.

#include "learn/optimizer_elements.cuh"

namespace halftone::cuda {

using learn::OptimizerRun;
using learn::Prodigy;

[[nodiscard]] __device__ inline bool stopped(const OptimizerRun& run) { return run.state->stop != learn::StopReason::none; }
[[nodiscard]] __device__ inline Prodigy::Scalars& scalars_of(const OptimizerRun& run) {
  return *static_cast<Prodigy::Scalars*>(run.scalars);
}
[[nodiscard]] __device__ inline bool is_factored(const OptimizerRun& run) {
  return Prodigy::is_factored(run.weight.rows, run.weight.columns);
}

/// Which of two places the roots of this iteration have, where they take turns.
[[nodiscard]] __device__ inline std::uint64_t turn_of(const OptimizerRun& run) { return run.state->iterations % 2; }

/// The second moments of the elements at a place: where they are factored, the factors.
template <int kWide>
struct SecondMoments {
  float row = 1;            ///< factored: of the row, its moment or the root of it
  float roots[kWide] = {};  ///< factored: of the columns; else of the elements
};

template <int kWide>
__device__ SecondMoments<kWide> load_second_moments(const OptimizerRun& run, const OptimizerScratch& scratch, const float* rows,
                                                    bool factored, const Place& place) {
  SecondMoments<kWide> moments;
  if (factored) {
    moments.row = rows[place.row];
    load(scratch.column_roots + place.column, moments.roots);
  } else {
    load(run.moments[1] + place.at, moments.roots);
    for (float& root : moments.roots) root = std::sqrt(root);
  }
  return moments;
}

/// Prodigy::update() with a quotient that may be wrong in its last two bits.
template <int kWide>
__device__ void find_updates(const Prodigy::Scalars& s, float row_root, const SecondMoments<kWide>& moments,
                             const float (&numerators)[kWide], float (&updates)[kWide]) {
  for (int i = 0; i < kWide; ++i) updates[i] = __fdividef(numerators[i], row_root * moments.roots[i] + s.epsilon);
}

/// The sampled element at a place, or else an index of kWide or more, and its number.  No more than one of a place is
/// sampled.
struct Sampled {
  std::uint64_t number;
  unsigned index;
};

[[nodiscard]] __device__ inline Sampled sampled_at(const Place& place) {
  constexpr std::uint32_t sampling = Prodigy::kSampling;
  if (place.at < 0xFFFF'0000U) {  // a division of 32 bits is much cheaper
    const auto at = static_cast<std::uint32_t>(place.at);
    const std::uint32_t number = (at + sampling - 1) / sampling;
    return {number, number * sampling - at};
  }
  const std::uint64_t number = (place.at + sampling - 1) / sampling;
  return {number, static_cast<unsigned>(number * sampling - place.at)};
}

/// Of the sampled elements: what d is estimated from.
template <int kWide, class Variable>
__device__ void sample(const OptimizerRun& run, const Prodigy::Scalars& s, const Place& place, const float (&gradients)[kWide],
                       const Variable& variable, Prodigy::Sums& sums) {
  static_assert(kWide <= Prodigy::kSampling);
  const auto [index, own] = sampled_at(place);
  if (own >= kWide) return;
  float gradient = gradients[0];
#pragma unroll
  for (unsigned i = 1; i < kWide; ++i) gradient = i == own ? gradients[i] : gradient;
  const float decayed = Prodigy::decayed_sum(s, run.decayed_sums[index], gradient);
  run.decayed_sums[index] = decayed;
  Prodigy::add(sums, variable(index, own), gradient, decayed);
}

/// Puts the sum over the threads of a block into *part.
__device__ inline void put_block_sum(double value, double* part) {
  value = block_total(value);
  if (threadIdx.x == 0) *part = value;
}

/// The end of pass 2: the last block finds the factor of the updates and the next d.
__device__ inline void finish_step(const OptimizerRun& run, const OptimizerScratch& scratch, double squares, Prodigy::Sums sums) {
  put_block_sum(squares, scratch.parts + blockIdx.x);
  Prodigy::Sums& part = scratch.sums[blockIdx.x];
  put_block_sum(sums.dot, &part.dot);
  put_block_sum(sums.decayed, &part.decayed);
  put_block_sum(sums.l1, &part.l1);
  put_block_sum(sums.squares, &part.squares);
  if (!is_last_block(&scratch.tickets[2])) return;
  const double squared_updates = sum_of_parts(scratch.parts, gridDim.x);
  Prodigy::Sums total{};
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kRowThreads) {
    const Prodigy::Sums* one = scratch.sums + i;
    Prodigy::add(total, {__ldcg(&one->dot), __ldcg(&one->decayed), __ldcg(&one->l1), __ldcg(&one->squares)});
  }
  double* const members[] = {&total.dot, &total.decayed, &total.l1, &total.squares};
  for (double* member : members) *member = block_total(*member);
  if (threadIdx.x != 0) return;
  const float clip = Prodigy::clip(squared_updates, run.weight.rows * run.weight.columns);
  *scratch.clip = static_cast<double>(clip);
  const Prodigy::Scalars& s = scalars_of(run);
  *scratch.lag = {static_cast<double>(s.rate) * static_cast<double>(clip), s.epsilon, run.state->slot, 0};
  Prodigy::finish_sums(scalars_of(run), run.variant, total);
}

/// Whether second moments are factored and there is a first moment.
[[nodiscard]] inline bool is_plain(const OptimizerRun& run) {
  return run.optimizer == Optimizer::prodigy && Prodigy::is_factored(run.weight.rows, run.weight.columns) && !run.variant.schedule_free;
}

/// Pass 1: moves the moments of rows and columns.  lagged: the roots of the latter go to the place whose turn it is.
template <class T>
void launch_squares(const OptimizerRun& run, const Exchange<T>& exchange, bool lagged, cudaStream_t stream);

}  // namespace halftone::cuda
