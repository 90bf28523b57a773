// Matrices without levels: gathering, sums, small steps.

#include "learn/matrix_launches.hpp"
#include "learn/philox.hpp"
#include "learn/row_loops.cuh"

namespace halftone::cuda {
namespace {

using learn::Matrix;

template <unsigned kWidth>
__global__ void __launch_bounds__(kRowThreads) inner_kernel(Matrix a, Matrix b, SumScratch scratch, double* out) {
  double sum = 0;
  for_parts_of_rows<kWidth>(a.rows, a.columns, [&](std::uint64_t row, std::uint64_t column) {
    const auto x = read_values<kWidth>(a, row * a.stride + column);
    const auto y = read_values<kWidth>(b, row * b.stride + column);
#pragma unroll
    for (unsigned i = 0; i < kWidth; ++i) sum += static_cast<double>(x.at[i]) * static_cast<double>(y.at[i]);
  });
  sum_of_blocks(sum, scratch, out);
}

__global__ void __launch_bounds__(kRowThreads) row_norms_kernel(Matrix a, float* out) {
  for (std::uint64_t row = blockIdx.x; row < a.rows; row += gridDim.x) {
    double sum = 0;
    for (std::uint64_t i = threadIdx.x; i < a.columns; i += kRowThreads) {
      const double value = a.data[row * a.stride + i];
      sum += value * value;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[row] = static_cast<float>(sum);
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kRowThreads) trace_kernel(Matrix a, double* out) {
  double sum = 0;
  for (std::uint64_t i = threadIdx.x; i < a.rows; i += kRowThreads) sum += static_cast<double>(a.data[i * a.stride + i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) *out = sum;
}

template <unsigned kWidth>
__global__ void __launch_bounds__(kRowThreads) convert_kernel(Matrix in, float factor, Matrix out, float added) {
  for_parts_of_rows<kWidth>(out.rows, out.columns, [&](std::uint64_t row, std::uint64_t column) {
    auto values = read_values<kWidth>(in, row * in.stride + column);
#pragma unroll
    for (unsigned i = 0; i < kWidth; ++i) {
      values.at[i] *= factor;
      if (column + i == row) values.at[i] += added;
    }
    write_values(out, row * out.stride + column, values);
  });
}

constexpr unsigned kTile = 32;

__global__ void __launch_bounds__(kTile * 8) transpose_kernel(Matrix in, Matrix out) {
  __shared__ float tile[kTile][kTile + 1];
  const std::uint64_t first_row = std::uint64_t{blockIdx.y} * kTile;
  const std::uint64_t first_column = std::uint64_t{blockIdx.x} * kTile;
  for (unsigned i = threadIdx.y; i < kTile; i += 8) {
    if (first_row + i < in.rows && first_column + threadIdx.x < in.columns) {
      tile[i][threadIdx.x] = in.data[(first_row + i) * in.stride + first_column + threadIdx.x];
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.y; i < kTile; i += 8) {
    if (first_column + i < out.rows && first_row + threadIdx.x < out.columns) {
      out.data[(first_column + i) * out.stride + first_row + threadIdx.x] = tile[threadIdx.x][i];
    }
  }
}

}  // namespace

void launch_inner(const Matrix& a, const Matrix& b, const SumScratch& scratch, double* sum, cudaStream_t stream) {
  const auto kernel = are_wide(a, b) ? inner_kernel<kWide> : inner_kernel<1>;
  kernel<<<kSumBlocks, kRowThreads, 0, stream>>>(a, b, scratch, sum);
  check_launch("add up products");
}

void launch_convert(const Matrix& in, float factor, const Matrix& out, float added, cudaStream_t stream) {
  const auto kernel = are_wide(in, out) ? convert_kernel<kWide> : convert_kernel<1>;
  kernel<<<static_cast<unsigned>(out.rows < kMostBlocks ? out.rows : kMostBlocks), kRowThreads, 0, stream>>>(in, factor, out, added);
  check_launch("convert a matrix");
}

void launch_fill_signs(const Matrix& out, std::uint64_t seed, cudaStream_t stream) {
  for_each_element(
      out.rows, out.columns,
      [=] __device__(std::uint64_t row, std::uint64_t column) {
        write_values<1>(out, row * out.stride + column, {learn::random_sign(row * out.columns + column, seed)});
      },
      "draw random signs", stream);
}

void launch_gather_columns(const Matrix& in, const std::uint32_t* columns, const Matrix& out, cudaStream_t stream) {
  for_each_element(
      out.rows, out.columns,
      [=] __device__(std::uint64_t row, std::uint64_t column) {
        out.data[row * out.stride + column] = in.data[row * in.stride + columns[column]];
      },
      "put columns in order", stream);
}

void launch_gather_moments(const Matrix& in, const std::uint32_t* order, float factor, float damping, const Matrix& out,
                           cudaStream_t stream) {
  for_each_element(
      out.rows, out.columns,
      [=] __device__(std::uint64_t row, std::uint64_t column) {
        const std::uint64_t from_row = order == nullptr ? row : order[row];
        const std::uint64_t from_column = order == nullptr ? column : order[column];
        const float value = factor * in.data[from_row * in.stride + from_column];
        out.data[row * out.stride + column] = value + (row == column ? damping : 0.0F);
      },
      "put moments in order", stream);
}

void launch_unit_upper(const Matrix& lower, const Matrix& out, cudaStream_t stream) {
  for_each_element(
      out.rows, out.columns,
      [=] __device__(std::uint64_t row, std::uint64_t column) {
        const std::uint64_t last = out.rows - 1;
        const std::uint64_t pivot = last - column;
        const float value =
            row < column ? lower.data[(last - row) * lower.stride + pivot] / lower.data[pivot * lower.stride + pivot] : 0.0F;
        out.data[row * out.stride + column] = value;
      },
      "read factors", stream);
}

void launch_add_scaled(const Matrix& a, float factor, const Matrix& b, cudaStream_t stream) {
  for_each_element(
      b.rows, b.columns,
      [=] __device__(std::uint64_t row, std::uint64_t column) {
        b.data[row * b.stride + column] += factor * read_values<1>(a, row * a.stride + column).at[0];
      },
      "add matrices", stream);
}

void launch_clear_upper(const Matrix& a, cudaStream_t stream) {
  for_each_element(
      a.rows, a.columns,
      [=] __device__(std::uint64_t row, std::uint64_t column) {
        if (column > row) a.data[row * a.stride + column] = 0.0F;
      },
      "clear a triangle", stream);
}

void launch_transpose(const Matrix& in, const Matrix& out, cudaStream_t stream) {
  const dim3 blocks(static_cast<unsigned>((in.columns + kTile - 1) / kTile), static_cast<unsigned>((in.rows + kTile - 1) / kTile));
  transpose_kernel<<<blocks, dim3(kTile, 8), 0, stream>>>(in, out);
  check_launch("transpose");
}

void launch_add_ridge(const Matrix& a, float ridge, double* sum, cudaStream_t stream) {
  trace_kernel<<<1, kRowThreads, 0, stream>>>(a, sum);
  check_launch("add up a diagonal");
  for_each_element(
      1, a.rows,
      [=] __device__(std::uint64_t, std::uint64_t i) {
        a.data[i * a.stride + i] += static_cast<float>(ridge * *sum / static_cast<double>(a.rows));
      },
      "add to a diagonal", stream);
}

void launch_add_to_diagonal(const Matrix& a, float value, cudaStream_t stream) {
  for_each_element(
      1, a.rows < a.columns ? a.rows : a.columns, [=] __device__(std::uint64_t, std::uint64_t i) { a.data[i * a.stride + i] += value; },
      "add to a diagonal", stream);
}

void launch_diagonal(const Matrix& a, float* out, cudaStream_t stream) {
  for_each_element(
      1, a.rows, [=] __device__(std::uint64_t, std::uint64_t i) { out[i] = read_values<1>(a, i * a.stride + i).at[0]; }, "read a diagonal",
      stream);
}

void launch_row_norms(const Matrix& a, float* out, cudaStream_t stream) {
  row_norms_kernel<<<kSumBlocks, kRowThreads, 0, stream>>>(a, out);
  check_launch("add up rows");
}

}  // namespace halftone::cuda
