#include "linear/epilogues.hpp"

#include "kernels/sources.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

constexpr unsigned kThreads = 256;

dim3 blocks_over(std::uint64_t rows, std::uint64_t columns) {
  constexpr std::uint64_t most_rows = 65535;  // that a grid can have
  return {static_cast<unsigned>((columns + kThreads - 1) / kThreads), static_cast<unsigned>(rows < most_rows ? rows : most_rows)};
}

template <class Target>
__global__ void __launch_bounds__(kThreads) scaled_sums_kernel(IntegerSums sums, typename Target::Raw* __restrict__ y) {
  const std::uint64_t column = static_cast<std::uint64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= sums.columns) return;
  const float of_column = sums.w_scales[sums.w_per_column ? column : 0];
  const float bias = sums.bias == nullptr ? 0.0F : sums.bias[column];
  for (std::uint64_t row = blockIdx.y; row < sums.rows; row += gridDim.y) {
    const std::uint64_t at = row * sums.columns + column;
    y[at] = Target::encode(static_cast<float>(sums.sums[at]) * (sums.x_scales[row] * of_column) + bias);
  }
}

__global__ void __launch_bounds__(kThreads)
    add_bias_kernel(float* __restrict__ y, std::uint64_t rows, std::uint64_t columns, const float* __restrict__ bias) {
  const std::uint64_t column = static_cast<std::uint64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (column >= columns) return;
  for (std::uint64_t row = blockIdx.y; row < rows; row += gridDim.y) y[row * columns + column] += bias[column];
}

}  // namespace

void launch_scaled_sums(const IntegerSums& sums, Dtype y_type, void* y, cudaStream_t stream) {
  if (sums.rows == 0 || sums.columns == 0) return;
  const dim3 blocks = blocks_over(sums.rows, sums.columns);
  if (y_type == Dtype::BF16) {
    scaled_sums_kernel<Bf16><<<blocks, kThreads, 0, stream>>>(sums, static_cast<std::uint16_t*>(y));
  } else {
    scaled_sums_kernel<F32><<<blocks, kThreads, 0, stream>>>(sums, static_cast<float*>(y));
  }
  check_launch("start a kernel that scales sums");
}

void launch_add_bias(float* y, std::uint64_t rows, std::uint64_t columns, const float* bias, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  add_bias_kernel<<<blocks_over(rows, columns), kThreads, 0, stream>>>(y, rows, columns, bias);
  check_launch("start a kernel that adds a bias");
}

}  // namespace halftone::cuda
