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

/// Where the roots of second moments of the iteration `ago` before this one lie, in a lagged run.
[[nodiscard]] __device__ inline std::uint64_t turn_of(const OptimizerRun& run, unsigned ago) {
  return (run.state->iterations + learn::kRootTurns - ago) % learn::kRootTurns;
}
[[nodiscard]] __device__ inline float* row_roots_of(const OptimizerRun& run, const OptimizerScratch& scratch, unsigned ago) {
  return scratch.row_roots + turn_of(run, ago) * run.weight.rows;
}
[[nodiscard]] __device__ inline float* column_roots_of(const OptimizerRun& run, const OptimizerScratch& scratch, unsigned ago) {
  return scratch.column_roots + turn_of(run, ago) * run.weight.columns;
}

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

/// The decayed sum of the sampled element at a place; 0 where there is none.
template <int kWide>
[[nodiscard]] __device__ float decayed_sum_at(const OptimizerRun& run, const Sampled& sampled) {
  return sampled.index < kWide ? run.decayed_sums[sampled.number] : 0.0F;
}

/// Element `index` of a place.
template <int kWide>
[[nodiscard]] __device__ float element_at(const float (&values)[kWide], unsigned index) {
  float value = values[0];
#pragma unroll
  for (unsigned i = 1; i < kWide; ++i) value = i == index ? values[i] : value;
  return value;
}

/// What d is estimated from, where an element of a place is sampled.  `before`: its decayed sum; `variable`: those of the place,
/// or of the sampled element alone.
template <int kWide, class Variable>
__device__ void sample(const OptimizerRun& run, const Prodigy::Scalars& s, const Sampled& sampled, float before,
                       const float (&gradients)[kWide], const Variable& variable, Prodigy::Sums& sums) {
  static_assert(kWide <= Prodigy::kSampling);
  if (sampled.index >= kWide) return;
  const float gradient = element_at(gradients, sampled.index);
  const float decayed = Prodigy::decayed_sum(s, before, gradient);
  run.decayed_sums[sampled.number] = decayed;
  const float x = variable(sampled);
  if (run.variant.speed) return Prodigy::add(sums, x, gradient, decayed);
  Prodigy::add_to_plain(sums, x, gradient, decayed);
}

/// Sums over the threads of a block, each as block_total() makes it: thread i gets sum i, the others anything.
template <int kCount>
[[nodiscard]] __device__ double block_totals(const double (&values)[kCount]) {
  __shared__ double of_warps[kCount][kRowThreads / 32];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    double value = values[i];
    for (int half = 16; half > 0; half /= 2) value += __shfl_xor_sync(0xFFFF'FFFFU, value, half);
    if (threadIdx.x % 32 == 0) of_warps[i][threadIdx.x / 32] = value;
  }
  __syncthreads();
  double total = 0;
  if (threadIdx.x < kCount) {
    for (const double of_warp : of_warps[threadIdx.x]) total += of_warp;
  }
  __syncthreads();
  return total;
}

/// The end of pass 2: the last block finds the factor of the updates and the next d.
__device__ inline void finish_step(const OptimizerRun& run, const OptimizerScratch& scratch, double squares, const Prodigy::Sums& sums) {
  constexpr int count = 5;
  const double part = block_totals<count>({squares, sums.dot, sums.decayed, sums.l1, sums.squares});
  const auto place = [&](unsigned sum, unsigned block) { return scratch.parts + sum * learn::kSumParts + block; };
  if (threadIdx.x < count) *place(threadIdx.x, blockIdx.x) = part;
  if (!is_last_block(&scratch.tickets[2])) return;
  double all[count] = {};
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kRowThreads) {
#pragma unroll
    for (unsigned sum = 0; sum < count; ++sum) all[sum] += __ldcg(place(sum, i));
  }
  __shared__ double totals[count];
  const double total = block_totals<count>(all);
  if (threadIdx.x < count) totals[threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.x != 0) return;
  const float clip = Prodigy::clip(totals[0], run.weight.rows * run.weight.columns);
  *scratch.clip = static_cast<double>(clip);
  const Prodigy::Scalars& s = scalars_of(run);
  scratch.lag->former = scratch.lag->last;
  scratch.lag->last = {static_cast<double>(s.rate) * static_cast<double>(clip), s.epsilon, s.gradient_factor};
  if (run.state->iterations % 2 == 0) scratch.lag->slot = run.state->slot;
  Prodigy::finish_sums(scalars_of(run), run.variant, {totals[1], totals[2], totals[3], totals[4]});
}

/// Whether second moments are factored and there is a first moment.
[[nodiscard]] inline bool is_plain(const OptimizerRun& run) {
  return run.optimizer == Optimizer::prodigy && Prodigy::is_factored(run.weight.rows, run.weight.columns) && !run.variant.schedule_free;
}

/// Pass 1: moves the moments of rows and columns.  lagged: the roots of the latter go to the place whose turn it is.
template <class T>
void launch_squares(const OptimizerRun& run, const Exchange<T>& exchange, bool lagged, cudaStream_t stream);

}  // namespace halftone::cuda
