// Sums that scales are moved by.

#include "learn/optimizer_launches.hpp"
#include "learn/row_loops.cuh"

namespace halftone::cuda {
namespace {

[[nodiscard]] __device__ double sum_of_warp(double value) {
  for (int half = 16; half > 0; half /= 2) value += __shfl_xor_sync(0xFFFF'FFFFU, value, half);
  return value;
}

/// A warp takes a group of a row.
__global__ void __launch_bounds__(kRowThreads) code_sums_kernel(const std::uint8_t* levels, const float* offsets, learn::Matrix a,
                                                                learn::Grid grid, std::uint64_t width, float* dots, float* squares) {
  const unsigned lane = threadIdx.x % 32;
  const std::uint64_t warps = std::uint64_t{gridDim.x} * (kRowThreads / 32);
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * (kRowThreads / 32) + threadIdx.x / 32; i < a.rows * grid.groups; i += warps) {
    const std::uint64_t first = i % grid.groups * width;
    const std::uint64_t end = first + width < a.columns ? first + width : a.columns;
    double dot = 0;
    double square = 0;
    for (std::uint64_t column = first + lane; column < end; column += 32) {
      const std::uint64_t at = i / grid.groups * a.columns + column;
      const auto code = static_cast<double>(grid.levels->values[levels[at]] + (offsets == nullptr ? 0.0F : offsets[at]));
      dot += static_cast<double>(a.data[at]) * code;
      square += code * code;
    }
    dot = sum_of_warp(dot);
    square = sum_of_warp(square);
    if (lane != 0) continue;
    dots[i] = static_cast<float>(dot);
    squares[i] = static_cast<float>(square);
  }
}

}  // namespace

void launch_code_sums(const std::uint8_t* levels, const float* offsets, const learn::Matrix& a, const learn::Grid& grid,
                      std::uint64_t width, float* dots, float* squares, cudaStream_t stream) {
  const std::uint64_t blocks = (a.rows * grid.groups + kRowThreads / 32 - 1) / (kRowThreads / 32);
  code_sums_kernel<<<static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks), kRowThreads, 0, stream>>>(levels, offsets, a, grid,
                                                                                                                   width, dots, squares);
  check_launch("add up codes");
}

}  // namespace halftone::cuda
