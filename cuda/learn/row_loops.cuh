#pragma once

#include <cstdint>

#include <cuda_fp16.h>
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

/// `kWidth` elements that are read or written at once.
template <class T, unsigned kWidth>
struct alignas(sizeof(T) * kWidth) Some {
  T at[kWidth];
};

template <unsigned kWidth, class T>
__device__ Some<T, kWidth> read(const T* data) {
  return *reinterpret_cast<const Some<T, kWidth>*>(data);
}
template <unsigned kWidth, class T>
__device__ void write(T* data, const Some<T, kWidth>& values) {
  *reinterpret_cast<Some<T, kWidth>*>(data) = values;
}

/// `kWidth` elements of a matrix of either element, the first of which is element `at`, and what they stand for.
template <unsigned kWidth>
__device__ Some<float, kWidth> read_values(const learn::Matrix& matrix, std::uint64_t at) {
  if (matrix.element == learn::Element::single) return read<kWidth>(matrix.data + at);
  const auto halves = read<kWidth>(reinterpret_cast<const __half*>(matrix.data) + at);
  const float inverse_unit = 1.0F / matrix.unit;
  Some<float, kWidth> values;
#pragma unroll
  for (unsigned i = 0; i < kWidth; ++i) values.at[i] = __half2float(halves.at[i]) * inverse_unit;
  return values;
}
template <unsigned kWidth>
__device__ void write_values(const learn::Matrix& matrix, std::uint64_t at, const Some<float, kWidth>& values) {
  if (matrix.element == learn::Element::single) return write(matrix.data + at, values);
  Some<__half, kWidth> halves;
#pragma unroll
  for (unsigned i = 0; i < kWidth; ++i) halves.at[i] = __float2half_rn(values.at[i] * matrix.unit);
  write(reinterpret_cast<__half*>(matrix.data) + at, halves);
}

/// for_rows() by `kWidth` columns at a time, of which there is a whole number.
template <unsigned kWidth, class Function>
__device__ void for_parts_of_rows(std::uint64_t rows, std::uint64_t columns, const Function& function) {
  for_rows(rows, columns / kWidth, [&](std::uint64_t row, std::uint64_t part) { function(row, part * kWidth); });
}

/// Elements that are read at once.
inline constexpr unsigned kWide = 4;

/// Whether the rows of all matrices may be read in such parts.
template <class... Matrices>
[[nodiscard]] bool are_wide(const Matrices&... matrices) {
  const auto is_wide = [](const learn::Matrix& matrix) {
    const auto address = reinterpret_cast<std::uintptr_t>(matrix.data);
    return matrix.columns % kWide == 0 && matrix.stride % kWide == 0 && address % (kWide * matrix.width()) == 0;
  };
  return (is_wide(matrices) && ...);
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

/// *out = the sum over the threads of kSumBlocks blocks, in one order: the last block to come adds up those of all.
__device__ inline void sum_of_blocks(double value, const SumScratch& scratch, double* out) {
  __shared__ bool is_last;
  value = block_sum(value);
  if (threadIdx.x == 0) {
    scratch.partial[blockIdx.x] = value;
    __threadfence();
    is_last = atomicAdd(scratch.arrived, 1U) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  double all = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kRowThreads) all += __ldcg(scratch.partial + i);
  all = block_sum(all);
  if (threadIdx.x != 0) return;
  *out = all;
  *scratch.arrived = 0;
}

}  // namespace halftone::cuda
