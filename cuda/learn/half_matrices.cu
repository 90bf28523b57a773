#include "learn/half_matrices.hpp"

#include "learn/row_loops.cuh"

namespace halftone::cuda {
namespace {

__global__ void __launch_bounds__(kRowThreads)
    to_half_kernel(learn::Matrix in, float factor, bool transposed, std::uint64_t rows, std::uint64_t columns, __half* out) {
  for_rows(rows, columns, [&](std::uint64_t row, std::uint64_t column) {
    const std::uint64_t from_row = transposed ? column : row;
    const std::uint64_t from_column = transposed ? row : column;
    const bool exists = from_row < in.rows && from_column < in.columns;
    out[row * columns + column] = __float2half_rn(exists ? in.data[from_row * in.stride + from_column] * factor : 0.0F);
  });
}

__global__ void __launch_bounds__(kRowThreads)
    normalise_kernel(const float* in, const learn::LoopState* state, float factor, std::uint64_t n, __half* out) {
  const float all = factor * learn::inverse_loss(*state);
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * kRowThreads + threadIdx.x; i < n; i += std::uint64_t{gridDim.x} * kRowThreads) {
    out[i] = __float2half_rn(in[i] * all);
  }
}

}  // namespace

void launch_to_half(const learn::Matrix& in, float factor, bool transposed, std::uint64_t rows, std::uint64_t columns, __half* out,
                    cudaStream_t stream) {
  to_half_kernel<<<static_cast<unsigned>(rows < kMostBlocks ? rows : kMostBlocks), kRowThreads, 0, stream>>>(in, factor, transposed, rows,
                                                                                                             columns, out);
  check_launch("round a matrix to binary16");
}

void launch_normalise(const float* in, const learn::LoopState* state, float factor, std::uint64_t n, __half* out, cudaStream_t stream) {
  const std::uint64_t blocks = (n + kRowThreads - 1) / kRowThreads;
  normalise_kernel<<<static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks), kRowThreads, 0, stream>>>(in, state, factor, n,
                                                                                                                   out);
  check_launch("normalise a matrix");
}

}  // namespace halftone::cuda
