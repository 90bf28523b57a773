// The passes of a step of Prodigy.  Sums are made of a fixed number of parts, in one order.

#include "learn/optimizer_elements.cuh"

namespace halftone::cuda {
namespace {

using learn::kSumParts;
using learn::kTileRows;
using learn::OptimizerRun;
using learn::Prodigy;
using learn::StopReason;

constexpr unsigned kWarps = kRowThreads / 32;

[[nodiscard]] __device__ bool stopped(const OptimizerRun& run) { return run.state->stop != StopReason::none; }
[[nodiscard]] __device__ Prodigy::Scalars& scalars_of(const OptimizerRun& run) { return *static_cast<Prodigy::Scalars*>(run.scalars); }
[[nodiscard]] __device__ bool is_factored(const OptimizerRun& run) { return Prodigy::is_factored(run.weight.rows, run.weight.columns); }

[[nodiscard]] __device__ float warp_sum(float value) {
  for (int half = 16; half > 0; half /= 2) value += __shfl_xor_sync(0xFFFF'FFFFU, value, half);
  return value;
}

__global__ void __launch_bounds__(kRowThreads) keep_average_kernel(OptimizerRun run) {
  if (!run.state->improved) return;
  const float* offsets = run.offsets[run.state->slot];
  for_places<1>(run.weight.rows, run.weight.columns,
                [&](const Place& place) { run.average[place.at] = Prodigy::average(offsets[place.at], run.moments[0][place.at]); });
}

/// Rows that are read before the first of them is used.
constexpr unsigned kRowsAtOnce = 4;
static_assert(kTileRows % kRowsAtOnce == 0);

/// Pass 1: a block adds up the squared gradients of the rows and the columns of a tile.
template <class T, int kWide>
__global__ void __launch_bounds__(kRowThreads) squares_kernel(OptimizerRun run, Exchange<T> exchange) {
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
    float gradients[kRowsAtOnce][kWide] = {};
    float scales[kRowsAtOnce][kWide] = {};
#pragma unroll
    for (unsigned j = 0; j < kRowsAtOnce; ++j) {
      const std::uint64_t row = first + i + j;
      if (!exists || i + j >= rows) continue;
      load_scales(run.grid, {row, column, 0}, scales[j]);
      load(exchange.gradient + row * run.weight.columns + column, gradients[j]);
    }
#pragma unroll
    for (unsigned j = 0; j < kRowsAtOnce; ++j) {
      float row_sum = 0;
      for (int k = 0; k < kWide; ++k) {
        const float gradient = learn::code_gradient<Prodigy>(run.rule, gradients[j][k] * factor, scales[j][k]);
        column_sums[k] += gradient * gradient;
        row_sum += gradient * gradient;
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

__device__ void finish_columns(const OptimizerRun& run, const OptimizerScratch& scratch, unsigned block) {
  __shared__ double sums[kWarps][kFinishColumns];
  const std::uint64_t tiles = (run.weight.rows + kTileRows - 1) / kTileRows;
  const std::uint64_t column = std::uint64_t{block} * kFinishColumns + threadIdx.x % kFinishColumns;
  const unsigned warp = threadIdx.x / 32;
  double sum = 0;
  if (column < run.weight.columns) {
#pragma unroll 8
    for (std::uint64_t tile = warp; tile < tiles; tile += kWarps) {
      sum += static_cast<double>(scratch.column_squares[tile * run.weight.columns + column]);
    }
  }
  sums[warp][threadIdx.x % kFinishColumns] = sum;
  __syncthreads();
  if (threadIdx.x >= kFinishColumns || column >= run.weight.columns) return;
  for (unsigned other = 1; other < kWarps; ++other) sum += sums[other][threadIdx.x];
  const auto mean = static_cast<float>(sum / static_cast<double>(run.weight.rows));
  const float moment = Prodigy::second_moment(scalars_of(run), run.column_moments[column], mean);
  run.column_moments[column] = moment;
  scratch.column_roots[column] = Prodigy::column_root(moment);
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
__global__ void __launch_bounds__(kRowThreads) finish_squares_kernel(OptimizerRun run, unsigned column_blocks, unsigned tiles) {
  if (stopped(run)) return;
  const OptimizerScratch scratch(run);
  if (blockIdx.x < column_blocks) {
    finish_columns(run, scratch, blockIdx.x);
  } else {
    finish_rows(run, scratch, blockIdx.x - column_blocks, tiles);
  }
}

/// The second moments of the elements at a place: where they are factored, the factors.
template <int kWide>
struct SecondMoments {
  float row = 1;            ///< factored: of the row, its moment or the root of it
  float roots[kWide] = {};  ///< factored: of the columns; else of the elements
};

template <int kWide>
__device__ SecondMoments<kWide> load_second_moments(const OptimizerRun& run, const OptimizerScratch& scratch, const float* rows,
                                                    bool factored, const Place& place) {
  SecondMoments<kWide> moments;
  if (factored) {
    moments.row = rows[place.row];
    load(scratch.column_roots + place.column, moments.roots);
  } else {
    load(run.moments[1] + place.at, moments.roots);
    for (float& root : moments.roots) root = std::sqrt(root);
  }
  return moments;
}

/// Prodigy::update() with a quotient that may be wrong in its last two bits.
template <int kWide>
__device__ void find_updates(const Prodigy::Scalars& s, float row_root, const SecondMoments<kWide>& moments,
                             const float (&numerators)[kWide], float (&updates)[kWide]) {
  for (int i = 0; i < kWide; ++i) updates[i] = __fdividef(numerators[i], row_root * moments.roots[i] + s.epsilon);
}

/// The sampled element at a place, or else an index of kWide or more, and its number.  No more than one of a place is
/// sampled.
struct Sampled {
  std::uint64_t number;
  unsigned index;
};

[[nodiscard]] __device__ Sampled sampled_at(const Place& place) {
  constexpr std::uint32_t sampling = Prodigy::kSampling;
  if (place.at < 0xFFFF'0000U) {  // a division of 32 bits is much cheaper
    const auto at = static_cast<std::uint32_t>(place.at);
    const std::uint32_t number = (at + sampling - 1) / sampling;
    return {number, number * sampling - at};
  }
  const std::uint64_t number = (place.at + sampling - 1) / sampling;
  return {number, static_cast<unsigned>(number * sampling - place.at)};
}

/// Of the sampled elements: what d is estimated from.
template <int kWide>
__device__ void sample(const OptimizerRun& run, const Prodigy::Scalars& s, const Place& place, const float (&gradients)[kWide],
                       Prodigy::Sums& sums) {
  static_assert(kWide <= Prodigy::kSampling);
  const auto [index, own] = sampled_at(place);
  if (own >= kWide) return;
  float gradient = gradients[0];
#pragma unroll
  for (unsigned i = 1; i < kWide; ++i) gradient = i == own ? gradients[i] : gradient;
  const float decayed = Prodigy::decayed_sum(s, run.decayed_sums[index], gradient);
  run.decayed_sums[index] = decayed;
  Prodigy::add(sums, run.sampled[index], gradient, decayed);
}

/// Puts the sum over the threads of a block into *part.
__device__ void put_block_sum(double value, double* part) {
  value = block_total(value);
  if (threadIdx.x == 0) *part = value;
}

/// Pass 2: moves the moments of elements, adds up the squares of updates and what d is estimated from.  kPlain: second
/// moments are factored, there is a first moment, and rows have one scale.
template <class T, int kWide, bool kPlain>
__global__ void __launch_bounds__(kRowThreads) updates_kernel(OptimizerRun run, Exchange<T> exchange) {
  if (stopped(run)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const OptimizerScratch scratch(run);
  const float factor = gradient_factor(run, exchange);
  const bool factored = kPlain || is_factored(run);
  const bool has_moment = kPlain || !run.variant.schedule_free;
  const double all_moments = factored ? sum_of_parts(scratch.row_sums, (run.weight.rows + kRowThreads - 1) / kRowThreads) : 0.0;
  const auto mean = static_cast<float>(all_moments / static_cast<double>(run.weight.rows));
  Prodigy::Sums sums{};
  double squares = 0;
  for_places<kWide>(run.weight.rows, run.weight.columns, [&](const Place& place) {
    float scales[kWide];
    float gradients[kWide];
    float numerators[kWide];
    if (has_moment) load_stream(run.moments[0] + place.at, numerators);
    load_scales<kPlain>(run.grid, place, scales);
    SecondMoments<kWide> second = load_second_moments<kWide>(run, scratch, run.row_moments, factored, place);
    load_gradients<Prodigy>(run, exchange, factor, place, scales, gradients);
    const float row_root = factored ? Prodigy::row_root(second.row, mean) : 1.0F;
    if (factored && place.column == 0) scratch.row_roots[place.row] = row_root;
    for (int i = 0; i < kWide && !factored; ++i) {
      float& moment = run.moments[1][place.at + i];
      moment = Prodigy::second_moment(s, moment, gradients[i] * gradients[i]);
      second.roots[i] = std::sqrt(moment);
    }
    for (int i = 0; i < kWide; ++i) {
      numerators[i] = has_moment ? Prodigy::first_moment(s, numerators[i], gradients[i]) : s.gradient_factor * gradients[i];
    }
    if (has_moment) store_stream(numerators, run.moments[0] + place.at);
    float updates[kWide];
    find_updates(s, row_root, second, numerators, updates);
    float few = 0;
    for (const float update : updates) few += update * update;
    squares += static_cast<double>(few);
    sample(run, s, place, gradients, sums);
  });
  put_block_sum(squares, scratch.parts + blockIdx.x);
  Prodigy::Sums& part = scratch.sums[blockIdx.x];
  put_block_sum(sums.dot, &part.dot);
  put_block_sum(sums.decayed, &part.decayed);
  put_block_sum(sums.l1, &part.l1);
  put_block_sum(sums.squares, &part.squares);
  if (!is_last_block(&scratch.tickets[2])) return;
  const double squared_updates = sum_of_parts(scratch.parts, gridDim.x);
  Prodigy::Sums total{};
  for (unsigned i = threadIdx.x; i < gridDim.x; i += kRowThreads) {
    const Prodigy::Sums* one = scratch.sums + i;
    Prodigy::add(total, {__ldcg(&one->dot), __ldcg(&one->decayed), __ldcg(&one->l1), __ldcg(&one->squares)});
  }
  double* const members[] = {&total.dot, &total.decayed, &total.l1, &total.squares};
  for (double* member : members) *member = block_total(*member);
  if (threadIdx.x != 0) return;
  *scratch.clip = static_cast<double>(Prodigy::clip(squared_updates, run.weight.rows * run.weight.columns));
  Prodigy::finish_sums(scalars_of(run), run.variant, total);
}

/// Keeps the variable at the sampled element of a place, if there is one.
template <int kWide>
__device__ void keep_sampled(const OptimizerRun& run, const Place& place, const float (&variable)[kWide]) {
  const auto [index, own] = sampled_at(place);
  if (own >= kWide) return;
  float value = variable[0];
#pragma unroll
  for (unsigned i = 1; i < kWide; ++i) value = i == own ? variable[i] : value;
  run.sampled[index] = value;
}

/// Pass 3.
template <class T, int kWide, bool kPlain>
__global__ void __launch_bounds__(kRowThreads) move_kernel(OptimizerRun run, Exchange<T> exchange) {
  if (stopped(run)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const OptimizerScratch scratch(run);
  const bool factored = kPlain || is_factored(run);
  const bool schedule_free = !kPlain && run.variant.schedule_free;
  const float factor = schedule_free ? gradient_factor(run, exchange) : 0.0F;
  const auto clip = static_cast<float>(*scratch.clip);
  const float* slot = run.offsets[run.state->slot];
  float* next = learn::next_offsets(run);
  for_places<kWide>(run.weight.rows, run.weight.columns, [&](const Place& place) {
    float scales[kWide];
    float moments[kWide];
    float offsets[kWide];
    float errors[kWide];
    load_stream(run.moments[0] + place.at, moments);
    load_stream(slot + place.at, offsets);
    load_stream(run.first_errors + place.at, errors);
    load_scales<kPlain>(run.grid, place, scales);
    const SecondMoments<kWide> second = load_second_moments<kWide>(run, scratch, scratch.row_roots, factored, place);
    float updates[kWide];
    if (schedule_free) {
      float numerators[kWide];
      load_gradients<Prodigy>(run, exchange, factor, place, scales, numerators);
      for (float& numerator : numerators) numerator *= s.gradient_factor;
      find_updates(s, second.row, second, numerators, updates);
    } else {
      find_updates(s, second.row, second, moments, updates);
    }
    for (int i = 0; i < kWide; ++i) {
      if (schedule_free) {
        Prodigy::move_both(s, offsets[i], moments[i], updates[i] * clip);
      } else {
        offsets[i] = Prodigy::move(s, offsets[i], updates[i] * clip);
      }
    }
    if (schedule_free) store_stream(moments, run.moments[0] + place.at);
    keep_sampled(run, place, schedule_free ? moments : offsets);
    put(exchange, place, scales, offsets, errors, next);
  });
}

template <int kWide, bool kPlain, class T>
void launch_passes(const OptimizerRun& run, const Exchange<T>& exchange, cudaStream_t stream) {
  updates_kernel<T, kWide, kPlain><<<blocks_for(run, kWide, kSumParts), kRowThreads, 0, stream>>>(run, exchange);
  move_kernel<T, kWide, kPlain><<<blocks_for(run, kWide, kMostBlocks), kRowThreads, 0, stream>>>(run, exchange);
}

}  // namespace

template <class T>
void launch_step(Prodigy, const OptimizerRun& run, const Exchange<T>& exchange, cudaStream_t stream) {
  if (run.average != nullptr) keep_average_kernel<<<blocks_for(run, 1, kMostBlocks), kRowThreads, 0, stream>>>(run);
  with_width(run, [&]<int kWide>(std::integral_constant<int, kWide>) {
    if (Prodigy::is_factored(run.weight.rows, run.weight.columns)) {
      const auto tiles = static_cast<unsigned>((run.weight.columns + kRowThreads * kWide - 1) / (kRowThreads * kWide));
      const auto row_tiles = static_cast<unsigned>((run.weight.rows + kTileRows - 1) / kTileRows);
      const auto column_blocks = static_cast<unsigned>((run.weight.columns + kFinishColumns - 1) / kFinishColumns);
      const auto row_blocks = static_cast<unsigned>((run.weight.rows + kRowThreads - 1) / kRowThreads);
      squares_kernel<T, kWide><<<dim3(tiles, row_tiles), kRowThreads, 0, stream>>>(run, exchange);
      finish_squares_kernel<<<column_blocks + row_blocks, kRowThreads, 0, stream>>>(run, column_blocks, tiles);
    }
    const bool is_plain = Prodigy::is_factored(run.weight.rows, run.weight.columns) && !run.variant.schedule_free && run.grid.groups == 1;
    is_plain ? launch_passes<kWide, true>(run, exchange, stream) : launch_passes<kWide, false>(run, exchange, stream);
  });
  check_launch("make a step of Prodigy");
}
template void launch_step(Prodigy, const OptimizerRun&, const Exchange<float>&, cudaStream_t);
template void launch_step(Prodigy, const OptimizerRun&, const Exchange<__half>&, cudaStream_t);

}  // namespace halftone::cuda
