// Matrices and the levels that their elements are rounded to.

#include <cmath>

#include "learn/matrix_launches.hpp"
#include "learn/row_loops.cuh"
#include "learn/steps.hpp"

namespace halftone::cuda {
namespace {

using learn::Flips;
using learn::Grid;
using learn::Levels;
using learn::Matrix;
using learn::Panel;

/// Copies levels to where every thread of the block finds them fast.
__device__ void share(const Levels* levels, Levels& shared) {
  static_assert(sizeof(Levels) % sizeof(std::uint32_t) == 0);
  const auto* from = reinterpret_cast<const std::uint32_t*>(levels);
  auto* to = reinterpret_cast<std::uint32_t*>(&shared);
  for (unsigned i = threadIdx.x; i < sizeof(Levels) / sizeof(std::uint32_t); i += blockDim.x) to[i] = from[i];
  __syncthreads();
}

__device__ float scale_of(const Grid& grid, std::uint64_t row, std::uint64_t column) {
  return grid.scales[row * grid.groups + grid.group_of[column]];
}

__global__ void __launch_bounds__(kRowThreads)
    round_kernel(Matrix target, Matrix shift, Matrix weight, Grid grid, std::uint8_t* levels, Matrix errors) {
  __shared__ Levels table;
  share(grid.levels, table);
  for_rows(weight.rows, weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    float wanted = target.data[row * target.stride + column];
    if (shift.data != nullptr) wanted += shift.data[row * shift.stride + column];
    const learn::Rounded rounded = learn::round_to(table, wanted, scale_of(grid, row, column));
    levels[row * weight.stride + column] = static_cast<std::uint8_t>(rounded.level);
    errors.data[row * errors.stride + column] = rounded.value - weight.data[row * weight.stride + column];
  });
}

__global__ void __launch_bounds__(kRowThreads) errors_kernel(const std::uint8_t* levels, Matrix weight, Grid grid, Matrix errors) {
  __shared__ Levels table;
  share(grid.levels, table);
  for_rows(weight.rows, weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    const float value = table.values[levels[row * weight.stride + column]] * scale_of(grid, row, column);
    errors.data[row * errors.stride + column] = value - weight.data[row * weight.stride + column];
  });
}

constexpr unsigned kPanel = learn::kPanelColumns;
/// Columns that a thread holds: a warp holds a row of a panel.
constexpr unsigned kHeld = kPanel / 32;
/// Rows that a block handles at a time.
constexpr unsigned kPanelWarps = 16;

enum class Choice { feed_back, sweep };

/// A warp takes a row: it goes through the columns in their order, and the lane that holds one rounds it and tells the
/// others its error.
template <Choice kChoice>
__global__ void __launch_bounds__(32 * kPanelWarps) panel_kernel(Panel panel) {
  extern __shared__ float couplings[];  // kPanel × kPanel
  __shared__ Levels table;
  const auto width = static_cast<unsigned>(panel.weight.columns);
  for (unsigned i = threadIdx.x; i < kPanel * kPanel; i += blockDim.x) {
    const unsigned row = i / kPanel;
    const unsigned column = i % kPanel;
    couplings[i] = row < width && column < width ? panel.couplings.data[row * panel.couplings.stride + column] : 0.0F;
  }
  share(panel.grid.levels, table);
  const unsigned lane = threadIdx.x % 32;
  for (std::uint64_t row = std::uint64_t{blockIdx.x} * kPanelWarps + threadIdx.x / 32; row < panel.weight.rows;
       row += std::uint64_t{gridDim.x} * kPanelWarps) {
    float target[kHeld];
    float weight[kHeld];
    float scale[kHeld];
    float error[kHeld];
    std::uint32_t level[kHeld];
#pragma unroll
    for (unsigned s = 0; s < kHeld; ++s) {
      const unsigned column = lane * kHeld + s;
      const bool exists = column < width;
      target[s] = exists ? panel.target.data[row * panel.target.stride + column] : 0.0F;
      weight[s] = exists ? panel.weight.data[row * panel.weight.stride + column] : 0.0F;
      error[s] = exists && kChoice == Choice::sweep ? panel.errors.data[row * panel.errors.stride + column] : 0.0F;
      scale[s] = exists ? scale_of(panel.grid, row, column) : 0.0F;
      level[s] = 0;
    }
    for (unsigned owner = 0; owner * kHeld < width; ++owner) {
#pragma unroll
      for (unsigned s = 0; s < kHeld; ++s) {
        const unsigned column = owner * kHeld + s;
        if (column >= width) break;
        const float* coupling = couplings + column * kPanel;
        float change = 0.0F;
        if (lane == owner) {
          const float wanted = kChoice == Choice::feed_back ? target[s] : weight[s] + (error[s] - target[s] / coupling[column]);
          const learn::Rounded rounded = learn::round_to(table, wanted, scale[s]);
          const float before = error[s];
          level[s] = rounded.level;
          error[s] = rounded.value - weight[s];
          change = kChoice == Choice::feed_back ? error[s] : error[s] - before;
        }
        change = __shfl_sync(0xFFFF'FFFFU, change, static_cast<int>(owner));
        if (kChoice == Choice::sweep && change == 0.0F) continue;
#pragma unroll
        for (unsigned k = 0; k < kHeld; ++k) {
          const float moved = change * coupling[lane * kHeld + k];
          target[k] = kChoice == Choice::feed_back ? target[k] - moved : target[k] + moved;
        }
      }
    }
#pragma unroll
    for (unsigned s = 0; s < kHeld; ++s) {
      const unsigned column = lane * kHeld + s;
      if (column >= width) break;
      panel.errors.data[row * panel.errors.stride + column] = error[s];
      panel.levels[row * panel.weight.stride + column] = static_cast<std::uint8_t>(level[s]);
    }
  }
}

template <Choice kChoice>
void launch_panel(const Panel& panel, const char* what, cudaStream_t stream) {
  constexpr std::size_t bytes = kPanel * kPanel * sizeof(float);
  check(cudaFuncSetAttribute(panel_kernel<kChoice>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), what);
  const std::uint64_t blocks = (panel.weight.rows + kPanelWarps - 1) / kPanelWarps;
  panel_kernel<kChoice><<<static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks), 32 * kPanelWarps, bytes, stream>>>(panel);
  check_launch(what);
}

struct PossibleFlip {
  std::uint64_t at;
  float value;
  learn::Flip flip;
};

__device__ PossibleFlip flip_at(const Flips& flips, const Levels& table, std::uint64_t row, std::uint64_t column) {
  const std::uint64_t at = row * flips.weight.columns + column;
  const float scale = scale_of(flips.grid, row, column);
  const std::uint32_t level = flips.levels[at];
  const float value = table.values[level] * scale;
  const float curvature = flips.row_norms[row] * flips.column_norms[column];
  return {at, value, learn::best_flip(table, level, value, scale, flips.target.data[at], flips.gradient.data[at], curvature, flips.pull)};
}

__global__ void __launch_bounds__(kRowThreads)
    count_flips_kernel(Flips flips, std::uint64_t row_step, double units, unsigned long long* bins) {
  __shared__ Levels table;
  __shared__ unsigned long long counted[learn::kGainBins];
  for (unsigned i = threadIdx.x; i < learn::kGainBins; i += blockDim.x) counted[i] = 0;
  share(flips.grid.levels, table);
  for_rows((flips.weight.rows + row_step - 1) / row_step, flips.weight.columns, [&](std::uint64_t step, std::uint64_t column) {
    const learn::Flip flip = flip_at(flips, table, step * row_step, column).flip;
    if (!(flip.gain > 0.0F)) return;
    const long long linear = __double2ll_rn(static_cast<double>(flip.linear) * units);
    atomicAdd(&counted[learn::gain_bin(flip.gain)], static_cast<unsigned long long>(linear));
  });
  __syncthreads();
  for (unsigned i = threadIdx.x; i < learn::kGainBins; i += blockDim.x) {
    if (counted[i] != 0) atomicAdd(&bins[i], counted[i]);
  }
}

/// The highest bin such that those from it on hold `wanted`; 0 where there is none.  A thread for each bin.
__global__ void __launch_bounds__(learn::kGainBins) first_bin_kernel(const long long* bins, long long wanted, std::uint32_t* first) {
  __shared__ long long sums[learn::kGainBins];
  __shared__ unsigned found;
  const unsigned bin = threadIdx.x;
  if (bin == 0) found = 0;
  sums[bin] = bins[bin];
  __syncthreads();
  for (unsigned distance = 1; distance < learn::kGainBins; distance *= 2) {
    const long long other = bin + distance < learn::kGainBins ? sums[bin + distance] : 0;
    __syncthreads();
    sums[bin] += other;
    __syncthreads();
  }
  if (sums[bin] >= wanted) atomicMax(&found, bin);
  __syncthreads();
  if (bin == 0) *first = found;
}

__global__ void __launch_bounds__(kRowThreads) flip_kernel(Flips flips, const std::uint32_t* first_bin, double* partial) {
  __shared__ Levels table;
  share(flips.grid.levels, table);
  const std::uint32_t first = *first_bin;
  double sum = 0;
  for_rows(flips.weight.rows, flips.weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    PossibleFlip possible = flip_at(flips, table, row, column);
    if (possible.flip.gain > 0.0F && learn::gain_bin(possible.flip.gain) >= first) {
      possible.value = possible.flip.value;
      flips.levels[possible.at] = static_cast<std::uint8_t>(possible.flip.level);
      flips.errors.data[possible.at] = possible.value - flips.weight.data[possible.at];
    }
    const double distance = possible.value - flips.target.data[possible.at];
    sum += distance * distance;
  });
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

}  // namespace

void launch_round(const Matrix& target, const Matrix& shift, const Matrix& weight, const Grid& grid, std::uint8_t* levels,
                  const Matrix& errors, cudaStream_t stream) {
  round_kernel<<<static_cast<unsigned>(weight.rows < kMostBlocks ? weight.rows : kMostBlocks), kRowThreads, 0, stream>>>(
      target, shift, weight, grid, levels, errors);
  check_launch("round to levels");
}

void launch_errors_of(const std::uint8_t* levels, const Matrix& weight, const Grid& grid, const Matrix& errors, cudaStream_t stream) {
  errors_kernel<<<static_cast<unsigned>(weight.rows < kMostBlocks ? weight.rows : kMostBlocks), kRowThreads, 0, stream>>>(levels, weight,
                                                                                                                          grid, errors);
  check_launch("find the errors of levels");
}

void launch_feed_back(const Panel& panel, cudaStream_t stream) { launch_panel<Choice::feed_back>(panel, "feed errors back", stream); }

void launch_sweep(const Panel& panel, cudaStream_t stream) { launch_panel<Choice::sweep>(panel, "choose levels again", stream); }

void launch_flip(const Flips& flips, const learn::FlipLimit& limit, const FlipScratch& scratch, double* sum, cudaStream_t stream) {
  check(cudaMemsetAsync(scratch.bins, 0, learn::kGainBins * sizeof(std::int64_t), stream), "clear device memory");
  const double units = std::ldexp(1.0 / limit.squared_loss, learn::kGainBits);
  count_flips_kernel<<<kSumBlocks, kRowThreads, 0, stream>>>(flips, limit.row_step, units,
                                                             reinterpret_cast<unsigned long long*>(scratch.bins));
  check_launch("count flips");
  first_bin_kernel<<<1, learn::kGainBins, 0, stream>>>(reinterpret_cast<const long long*>(scratch.bins), learn::wanted_gain(limit),
                                                       scratch.first);
  check_launch("choose flips");
  flip_kernel<<<kSumBlocks, kRowThreads, 0, stream>>>(flips, scratch.first, scratch.partial);
  check_launch("flip");
  launch_finish_sum(scratch.partial, sum, stream);
}

}  // namespace halftone::cuda
