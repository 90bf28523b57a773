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

/// Levels where every thread of the block finds them fast.  A search asks for thresholds that lie a power of two apart:
/// each 32 of them are moved by one, so that these are in banks of their own.
struct SharedLevels {
  struct Thresholds {
    float moved[Levels::kMost + Levels::kMost / 32];

    __device__ float operator[](unsigned i) const { return moved[i + i / 32]; }
  };

  float values[Levels::kMost];
  Thresholds thresholds;
  std::uint32_t count;
};

__device__ void share(const Levels* levels, SharedLevels& shared) {
  for (unsigned i = threadIdx.x; i < Levels::kMost; i += blockDim.x) {
    shared.values[i] = levels->values[i];
    shared.thresholds.moved[i + i / 32] = levels->thresholds[i];
  }
  if (threadIdx.x == 0) shared.count = levels->count;
  __syncthreads();
}

__device__ float scale_of(const Grid& grid, std::uint64_t row, std::uint64_t column) {
  return grid.scales[row * grid.groups + grid.group_of[column]];
}

template <unsigned kWidth>
__global__ void __launch_bounds__(kRowThreads)
    round_kernel(Matrix target, Matrix shift, Matrix weight, Grid grid, std::uint8_t* levels, Matrix errors) {
  __shared__ SharedLevels table;
  share(grid.levels, table);
  for_parts_of_rows<kWidth>(weight.rows, weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    Some<float, kWidth> wanted = read<kWidth>(target.data + row * target.stride + column);
    if (shift.data != nullptr) {
      const auto shifts = read_values<kWidth>(shift, row * shift.stride + column);
#pragma unroll
      for (unsigned i = 0; i < kWidth; ++i) wanted.at[i] += shifts.at[i];
    }
    const auto weights = read<kWidth>(weight.data + row * weight.stride + column);
    const auto groups = read<kWidth>(grid.group_of + column);
    Some<std::uint8_t, kWidth> found;
    Some<float, kWidth> error;
#pragma unroll
    for (unsigned i = 0; i < kWidth; ++i) {
      const learn::Rounded rounded = learn::round_to(table, wanted.at[i], grid.scales[row * grid.groups + groups.at[i]]);
      found.at[i] = static_cast<std::uint8_t>(rounded.level);
      error.at[i] = rounded.value - weights.at[i];
    }
    write(levels + row * weight.stride + column, found);
    write_values(errors, row * errors.stride + column, error);
  });
}

template <unsigned kWidth>
__global__ void __launch_bounds__(kRowThreads) errors_kernel(const std::uint8_t* levels, Matrix weight, Grid grid, Matrix errors) {
  __shared__ SharedLevels table;
  share(grid.levels, table);
  for_parts_of_rows<kWidth>(weight.rows, weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    const auto found = read<kWidth>(levels + row * weight.stride + column);
    const auto weights = read<kWidth>(weight.data + row * weight.stride + column);
    const auto groups = read<kWidth>(grid.group_of + column);
    Some<float, kWidth> error;
#pragma unroll
    for (unsigned i = 0; i < kWidth; ++i) {
      error.at[i] = table.values[found.at[i]] * grid.scales[row * grid.groups + groups.at[i]] - weights.at[i];
    }
    write_values(errors, row * errors.stride + column, error);
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
  __shared__ SharedLevels table;
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

/// What the flips of `kWidth` elements from one on would do.
template <unsigned kWidth>
struct PossibleFlips {
  Some<float, kWidth> value;
  Some<float, kWidth> target;
  learn::Flip flip[kWidth];
};

template <unsigned kWidth>
__device__ PossibleFlips<kWidth> flips_at(const Flips& flips, const SharedLevels& table, std::uint64_t row, std::uint64_t column) {
  const std::uint64_t at = row * flips.weight.columns + column;
  const Some<std::uint8_t, kWidth> levels = read<kWidth, std::uint8_t>(flips.levels + at);
  const Some<float, kWidth> gradient = read_values<kWidth>(flips.gradient, at);
  const Some<std::uint32_t, kWidth> groups = read<kWidth, std::uint32_t>(flips.grid.group_of + column);
  const Some<float, kWidth> column_norms = read<kWidth, float>(flips.column_norms + column);
  const float row_norm = flips.row_norms[row];
  PossibleFlips<kWidth> possible;
  possible.target = read<kWidth, float>(flips.target.data + at);
#pragma unroll
  for (unsigned i = 0; i < kWidth; ++i) {
    const float scale = flips.grid.scales[row * flips.grid.groups + groups.at[i]];
    const float value = table.values[levels.at[i]] * scale;
    possible.value.at[i] = value;
    possible.flip[i] = learn::best_flip(table, levels.at[i], value, scale, possible.target.at[i], gradient.at[i],
                                        row_norm * column_norms.at[i], flips.pull);
  }
  return possible;
}

__global__ void __launch_bounds__(kRowThreads)
    count_flips_kernel(Flips flips, learn::FlipLimit limit, double units, unsigned long long* bins) {
  __shared__ SharedLevels table;
  __shared__ unsigned long long counted[learn::kGainBins];
  for (unsigned i = threadIdx.x; i < learn::kGainBins; i += blockDim.x) counted[i] = 0;
  share(flips.grid.levels, table);
  for_rows((flips.weight.rows + limit.row_step - 1) / limit.row_step, flips.weight.columns, [&](std::uint64_t step, std::uint64_t column) {
    const std::uint64_t row = step * limit.row_step;
    const learn::Flip flip = flips_at<1>(flips, table, row, column).flip[0];
    if (!(flip.gain > 0.0F) || !learn::may_flip(row * flips.weight.columns + column, limit.halvings, limit.seed)) return;
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

template <unsigned kWidth>
__global__ void __launch_bounds__(kRowThreads)
    flip_kernel(Flips flips, learn::FlipLimit limit, const std::uint32_t* first_bin, SumScratch scratch, double* out) {
  __shared__ SharedLevels table;
  share(flips.grid.levels, table);
  const std::uint32_t first = *first_bin;
  double sum = 0;
  for_parts_of_rows<kWidth>(flips.weight.rows, flips.weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    const std::uint64_t at = row * flips.weight.columns + column;
    const PossibleFlips<kWidth> possible = flips_at<kWidth>(flips, table, row, column);
#pragma unroll
    for (unsigned i = 0; i < kWidth; ++i) {
      const learn::Flip& flip = possible.flip[i];
      float value = possible.value.at[i];
      if (flip.gain > 0.0F && learn::gain_bin(flip.gain) >= first && learn::may_flip(at + i, limit.halvings, limit.seed)) {
        value = flip.value;
        flips.levels[at + i] = static_cast<std::uint8_t>(flip.level);
        write_values<1>(flips.errors, at + i, {value - flips.weight.data[at + i]});
      }
      const double distance = value - possible.target.at[i];
      sum += distance * distance;
    }
  });
  sum_of_blocks(sum, scratch, out);
}

}  // namespace

void launch_round(const Matrix& target, const Matrix& shift, const Matrix& weight, const Grid& grid, std::uint8_t* levels,
                  const Matrix& errors, cudaStream_t stream) {
  const Matrix& shifted = shift.data != nullptr ? shift : target;
  const auto kernel = are_wide(target, shifted, weight, errors) ? round_kernel<kWide> : round_kernel<1>;
  kernel<<<static_cast<unsigned>(weight.rows < kMostBlocks ? weight.rows : kMostBlocks), kRowThreads, 0, stream>>>(target, shift, weight,
                                                                                                                   grid, levels, errors);
  check_launch("round to levels");
}

void launch_errors_of(const std::uint8_t* levels, const Matrix& weight, const Grid& grid, const Matrix& errors, cudaStream_t stream) {
  const auto kernel = are_wide(weight, errors) ? errors_kernel<kWide> : errors_kernel<1>;
  kernel<<<static_cast<unsigned>(weight.rows < kMostBlocks ? weight.rows : kMostBlocks), kRowThreads, 0, stream>>>(levels, weight, grid,
                                                                                                                   errors);
  check_launch("find the errors of levels");
}

void launch_feed_back(const Panel& panel, cudaStream_t stream) { launch_panel<Choice::feed_back>(panel, "feed errors back", stream); }

void launch_sweep(const Panel& panel, cudaStream_t stream) { launch_panel<Choice::sweep>(panel, "choose levels again", stream); }

void launch_flip(const Flips& flips, const learn::FlipLimit& limit, const FlipScratch& scratch, double* sum, cudaStream_t stream) {
  check(cudaMemsetAsync(scratch.bins, 0, learn::kGainBins * sizeof(std::int64_t), stream), "clear device memory");
  const double units = std::ldexp(1.0 / limit.squared_loss, learn::kGainBits);
  count_flips_kernel<<<kSumBlocks, kRowThreads, 0, stream>>>(flips, limit, units, reinterpret_cast<unsigned long long*>(scratch.bins));
  check_launch("count flips");
  first_bin_kernel<<<1, learn::kGainBins, 0, stream>>>(reinterpret_cast<const long long*>(scratch.bins), learn::wanted_gain(limit),
                                                       scratch.first);
  check_launch("choose flips");
  const auto kernel = are_wide(flips.weight) ? flip_kernel<kWide> : flip_kernel<1>;
  kernel<<<kSumBlocks, kRowThreads, 0, stream>>>(flips, limit, scratch.first, scratch.sum, sum);
  check_launch("flip");
}

}  // namespace halftone::cuda
