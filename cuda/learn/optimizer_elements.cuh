#pragma once

#include "learn/exchange.hpp"
#include "learn/optimizer_run.hpp"
#include "learn/optimizer_scratch.hpp"
#include "learn/row_loops.cuh"
#include "learn/wide.cuh"

namespace halftone::cuda {

// Loops over the elements of a weight, kWide of a row at a time.

/// Elements of a row that lie one after another.
struct Place {
  std::uint64_t row;
  std::uint64_t column;  ///< of the first one
  std::uint64_t at;      ///< of the first one in a matrix without gaps
};

/// Calls function(place) for every kWide elements of rows × columns, which kWide divides; the grid shares them.
template <int kWide, class Function>
__device__ void for_places(std::uint64_t rows, std::uint64_t columns, const Function& function) {
  const std::uint64_t in_row = columns / kWide;
  const std::uint64_t places = rows * in_row;
  const bool narrow = places <= 0xFFFF'FFFFU;  // a division of 32 bits is much cheaper
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < places; i += std::uint64_t{gridDim.x} * blockDim.x) {
    const std::uint64_t row = narrow ? static_cast<std::uint32_t>(i) / static_cast<std::uint32_t>(in_row) : i / in_row;
    function(Place{row, (i - row * in_row) * kWide, i * kWide});
  }
}

/// The scales of the elements at a place.
template <bool kOneGroup = false, int kWide>
__device__ void load_scales(const learn::Grid& grid, const Place& place, float (&scales)[kWide]) {
  const float* of_row = grid.scales + place.row * (kOneGroup ? 1 : grid.groups);
  if (kOneGroup || grid.groups == 1) {
    const float scale = *of_row;
    for (float& each : scales) each = scale;
  } else {
    for (int i = 0; i < kWide; ++i) scales[i] = of_row[grid.group_of[place.column + static_cast<unsigned>(i)]];
  }
}

/// What stored gradients are multiplied with to be those of the loss by the values.
template <class T>
[[nodiscard]] __device__ float gradient_factor(const learn::OptimizerRun& run, const Exchange<T>& exchange) {
  return exchange.is_normalised ? exchange.gradient_factor : learn::inverse_loss(*run.state);
}

/// The gradients by the codes at a place; factor: gradient_factor().
template <class O, class T, int kWide>
__device__ void load_gradients(const learn::OptimizerRun& run, const Exchange<T>& exchange, float factor, const Place& place,
                               const float (&scales)[kWide], float (&gradients)[kWide]) {
  load(exchange.gradient + place.at, gradients);
  for (int i = 0; i < kWide; ++i) gradients[i] = learn::code_gradient<O>(run.rule, gradients[i] * factor, scales[i]);
}

/// Stores the offsets of the elements at a place in their next slot, and the errors that they make; errors: the first ones.
template <class T, int kWide>
__device__ void put(const Exchange<T>& exchange, const Place& place, const float (&scales)[kWide], const float (&offsets)[kWide],
                    float (&errors)[kWide], float* slot) {
  store_stream(offsets, slot + place.at);
  for (int i = 0; i < kWide; ++i) errors[i] = learn::error_at(errors[i], offsets[i], scales[i]) * exchange.error_factor;
  store(errors, exchange.errors + place.at);
}

/// The sum over the threads of a block, in one order; every thread gets it.
[[nodiscard]] __device__ inline double block_total(double value) {
  __shared__ double sums[kRowThreads / 32];
  for (int half = 16; half > 0; half /= 2) value += __shfl_xor_sync(0xFFFF'FFFFU, value, half);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  double total = 0;
  for (const double sum : sums) total += sum;
  __syncthreads();
  return total;
}

/// Whether the calling block is the last of the grid to come here.  It then sees what the others have written before, where
/// it reads around the first cache (__ldcg).  `ticket` is 0 before and after.
[[nodiscard]] __device__ inline bool is_last_block(unsigned* ticket) {
  __shared__ bool is_last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned blocks = gridDim.x * gridDim.y;
    is_last = atomicInc(ticket, blocks - 1) == blocks - 1;
  }
  __syncthreads();
  if (is_last) __threadfence();
  return is_last;
}

/// The sum of `n` parts, in one order; every thread of the block gets it.
[[nodiscard]] __device__ inline double sum_of_parts(const double* parts, std::uint64_t n) {
  double sum = 0;
  for (std::uint64_t i = threadIdx.x; i < n; i += kRowThreads) sum += __ldcg(parts + i);
  return block_total(sum);
}

/// Blocks for a pass over the elements of a run.
[[nodiscard]] inline unsigned blocks_for(const learn::OptimizerRun& run, int wide, std::uint64_t most) {
  const std::uint64_t threads = run.weight.rows * run.weight.columns / static_cast<unsigned>(wide);
  const std::uint64_t blocks = (threads + kRowThreads - 1) / kRowThreads;
  return static_cast<unsigned>(blocks < most ? blocks : most);
}

/// Calls function(std::integral_constant<int, kWide>) with the elements that a thread takes at a time.
template <class Function>
void with_width(const learn::OptimizerRun& run, const Function& function) {
  if (run.weight.columns % 8 == 0) {
    function(std::integral_constant<int, 8>());
  } else {
    function(std::integral_constant<int, 1>());
  }
}

/// A step of an optimizer that looks at more than one element.
template <class T>
void launch_step(learn::Prodigy, const learn::OptimizerRun& run, const Exchange<T>& exchange, cudaStream_t stream);

}  // namespace halftone::cuda
