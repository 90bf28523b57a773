// The sums of squared gradients by rows and columns, which move Prodigy's factored second moments.

#include "learn/prodigy_passes.cuh"

namespace halftone::cuda {
namespace {

using learn::kTileRows;

constexpr unsigned kWarps = kRowThreads / 32;

[[nodiscard]] __device__ float warp_sum(float value) {
  for (int half = 16; half > 0; half /= 2) value += __shfl_xor_sync(0xFFFF'FFFFU, value, half);
  return value;
}

/// Rows that are read before the first of them is used: 16 bytes of each.
constexpr unsigned kRowsAtOnce = 8;
static_assert(kTileRows % kRowsAtOnce == 0);

/// Pass 1: a block adds up the squared gradients of the rows and the columns of a tile.
template <class T, int kWide, bool kOneGroup>
__global__ void __launch_bounds__(kRowThreads, 2) squares_kernel(OptimizerRun run, Exchange<T> exchange) {
  if (stopped(run)) return;
  __shared__ float row_sums[kTileRows][kWarps];
  const OptimizerScratch scratch(run);
  const float factor = gradient_factor(run, exchange);
  const std::uint64_t column = (std::uint64_t{blockIdx.x} * kRowThreads + threadIdx.x) * kWide;
  const std::uint64_t first = blockIdx.y * kTileRows;
  const std::uint64_t rows = run.weight.rows - first < kTileRows ? run.weight.rows - first : kTileRows;
  const bool exists = column < run.weight.columns;
  float column_sums[kWide] = {};
  for (unsigned i = 0; i < rows; i += kRowsAtOnce) {
    Packed<T, kWide> packed[kRowsAtOnce] = {};
    float row_scales[kRowsAtOnce] = {};
#pragma unroll
    for (unsigned j = 0; j < kRowsAtOnce; ++j) {
      if (!exists || i + j >= rows) continue;
      packed[j] = load_packed<kWide>(exchange.gradient + (first + i + j) * run.weight.columns + column);
      if (kOneGroup) row_scales[j] = run.grid.scales[first + i + j];
    }
#pragma unroll
    for (unsigned j = 0; j < kRowsAtOnce; ++j) {
      float row_sum = 0;
      if (exists && i + j < rows) {
        float gradients[kWide];
        float scales[kWide];
        unpack(packed[j], gradients);
        if (kOneGroup) {
          for (float& scale : scales) scale = row_scales[j];
        } else {
          load_scales(run.grid, {first + i + j, column, 0}, scales);
        }
        for (int k = 0; k < kWide; ++k) {
          const float gradient = learn::code_gradient<Prodigy>(run.rule, gradients[k] * factor, scales[k]);
          column_sums[k] += gradient * gradient;
          row_sum += gradient * gradient;
        }
      }
      row_sum = warp_sum(row_sum);
      if (threadIdx.x % 32 == 0) row_sums[i + j][threadIdx.x / 32] = row_sum;
    }
  }
  if (exists) store(column_sums, scratch.column_squares + blockIdx.y * run.weight.columns + column);
  __syncthreads();
  if (threadIdx.x >= rows) return;
  float sum = 0;
  for (unsigned warp = 0; warp < kWarps; ++warp) sum += row_sums[threadIdx.x][warp];
  scratch.row_squares[(first + threadIdx.x) * gridDim.x + blockIdx.x] = sum;
}

/// Columns that a block of finish_squares_kernel takes: a warp adds up some of the tiles of all of them.
constexpr unsigned kFinishColumns = 32;

__device__ void finish_columns(const OptimizerRun& run, const OptimizerScratch& scratch, unsigned block, float* roots) {
  __shared__ double sums[kWarps][kFinishColumns];
  const std::uint64_t tiles = (run.weight.rows + kTileRows - 1) / kTileRows;
  const std::uint64_t column = std::uint64_t{block} * kFinishColumns + threadIdx.x % kFinishColumns;
  const unsigned warp = threadIdx.x / 32;
  // A wait for memory takes longer than all else here: few of them, one after another.
  constexpr unsigned at_once = 16;
  double sum = 0;
  for (std::uint64_t first = warp; first < tiles && column < run.weight.columns; first += at_once * kWarps) {
    float parts[at_once] = {};
#pragma unroll
    for (unsigned i = 0; i < at_once; ++i) {
      const std::uint64_t tile = first + i * kWarps;
      if (tile < tiles) parts[i] = scratch.column_squares[tile * run.weight.columns + column];
    }
#pragma unroll
    for (const float part : parts) sum += static_cast<double>(part);
  }
  sums[warp][threadIdx.x % kFinishColumns] = sum;
  __syncthreads();
  if (threadIdx.x >= kFinishColumns || column >= run.weight.columns) return;
  for (unsigned other = 1; other < kWarps; ++other) sum += sums[other][threadIdx.x];
  const auto mean = static_cast<float>(sum / static_cast<double>(run.weight.rows));
  const float moment = Prodigy::second_moment(scalars_of(run), run.column_moments[column], mean);
  run.column_moments[column] = moment;
  roots[column] = Prodigy::column_root(moment);
}

__device__ void finish_rows(const OptimizerRun& run, const OptimizerScratch& scratch, unsigned block, unsigned tiles) {
  static_assert(learn::kRowsOfSum == kRowThreads);
  const std::uint64_t row = std::uint64_t{block} * kRowThreads + threadIdx.x;
  float moment = 0;
  if (row < run.weight.rows) {
    double sum = 0;
    for (unsigned tile = 0; tile < tiles; ++tile) sum += static_cast<double>(scratch.row_squares[row * tiles + tile]);
    const auto mean = static_cast<float>(sum / static_cast<double>(run.weight.columns));
    moment = Prodigy::second_moment(scalars_of(run), run.row_moments[row], mean);
    run.row_moments[row] = moment;
  }
  const double sum = block_total(static_cast<double>(moment));
  if (threadIdx.x == 0) scratch.row_sums[block] = sum;
}

/// Moves the moments of columns and rows.
__global__ void __launch_bounds__(kRowThreads)
    finish_squares_kernel(OptimizerRun run, unsigned column_blocks, unsigned tiles, bool lagged) {
  if (stopped(run)) return;
  const OptimizerScratch scratch(run);
  if (blockIdx.x < column_blocks) {
    finish_columns(run, scratch, blockIdx.x, lagged ? column_roots_of(run, scratch, 0) : scratch.column_roots);
  } else {
    finish_rows(run, scratch, blockIdx.x - column_blocks, tiles);
  }
}

}  // namespace

template <class T>
void launch_squares(const OptimizerRun& run, const Exchange<T>& exchange, bool lagged, cudaStream_t stream) {
  with_width(run, [&]<int kWide>(std::integral_constant<int, kWide>) {
    const auto tiles = static_cast<unsigned>((run.weight.columns + kRowThreads * kWide - 1) / (kRowThreads * kWide));
    const auto row_tiles = static_cast<unsigned>((run.weight.rows + kTileRows - 1) / kTileRows);
    const auto column_blocks = static_cast<unsigned>((run.weight.columns + kFinishColumns - 1) / kFinishColumns);
    const auto row_blocks = static_cast<unsigned>((run.weight.rows + kRowThreads - 1) / kRowThreads);
    if (run.grid.groups == 1) {
      squares_kernel<T, kWide, true><<<dim3(tiles, row_tiles), kRowThreads, 0, stream>>>(run, exchange);
    } else {
      squares_kernel<T, kWide, false><<<dim3(tiles, row_tiles), kRowThreads, 0, stream>>>(run, exchange);
    }
    finish_squares_kernel<<<column_blocks + row_blocks, kRowThreads, 0, stream>>>(run, column_blocks, tiles, lagged);
  });
  check_launch("add up squared gradients");
}
template void launch_squares(const OptimizerRun&, const Exchange<float>&, bool, cudaStream_t);
template void launch_squares(const OptimizerRun&, const Exchange<__half>&, bool, cudaStream_t);

}  // namespace halftone::cuda
