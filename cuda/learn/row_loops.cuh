#pragma once

#include <cstdint>

#include <cuda_runtime.h>

#include "learn/engine.hpp"
#include "learn/matrix_launches.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {

/// Threads of a block that goes over rows.
inline constexpr unsigned kRowThreads = 256;
/// Blocks that fill a large GPU.
inline constexpr std::uint64_t kMostBlocks = 2048;

/// Calls function(row, column) for every element of rows × columns: a block takes rows, its threads the columns.
template <class Function>
__device__ void for_rows(std::uint64_t rows, std::uint64_t columns, const Function& function) {
  for (std::uint64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    for (std::uint64_t column = threadIdx.x; column < columns; column += blockDim.x) function(row, column);
  }
}

template <class Function>
__global__ void __launch_bounds__(kRowThreads) elements_kernel(std::uint64_t rows, std::uint64_t columns, Function function) {
  for_rows(rows, columns, function);
}

/// Calls `function`, a device lambda of row and column, for every element.
template <class Function>
void for_each_element(std::uint64_t rows, std::uint64_t columns, const Function& function, const char* what, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const auto blocks = static_cast<unsigned>(rows < kMostBlocks ? rows : kMostBlocks);
  elements_kernel<<<blocks, kRowThreads, 0, stream>>>(rows, columns, function);
  check_launch(what);
}

/// The sum over the threads of a block, in one order; every thread gets it.
[[nodiscard]] __device__ inline double block_sum(double value) {
  __shared__ double sums[kRowThreads];
  sums[threadIdx.x] = value;
  __syncthreads();
  for (unsigned half = kRowThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  return sums[0];
}

/// Puts the sum of kSumBlocks parts into *sum.
void launch_finish_sum(const double* partial, double* sum, cudaStream_t stream);

}  // namespace halftone::cuda
