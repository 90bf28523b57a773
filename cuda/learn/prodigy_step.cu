// The passes of a step of Prodigy.  Sums are made of a fixed number of parts, in one order.

#include "learn/optimizer_elements.cuh"

namespace halftone::cuda {
namespace {

using learn::kColumnParts;
using learn::kSumParts;
using learn::OptimizerRun;
using learn::Prodigy;
using learn::StopReason;

/// What lies in a run's scratch memory.
struct Scratch {
  __device__ explicit Scratch(const OptimizerRun& run)
      : column_squares(run.scratch),
        sums(reinterpret_cast<Prodigy::Sums*>(column_squares + kColumnParts * run.weight.columns)),
        updates(reinterpret_cast<double*>(sums)),
        mean_row_moment(reinterpret_cast<double*>(sums + kSumParts)),
        squared_updates(mean_row_moment + 1) {}

  double* column_squares;  ///< kColumnParts × columns
  Prodigy::Sums* sums;     ///< kSumParts
  double* updates;         ///< kSumParts; in the place of `sums`, which pass 1 has used up by then
  double* mean_row_moment;
  double* squared_updates;
};

[[nodiscard]] __device__ bool stopped(const OptimizerRun& run) { return run.state->stop != StopReason::none; }
[[nodiscard]] __device__ Prodigy::Scalars& scalars_of(const OptimizerRun& run) { return *static_cast<Prodigy::Scalars*>(run.scalars); }
[[nodiscard]] __device__ bool is_factored(const OptimizerRun& run) { return Prodigy::is_factored(run.weight.rows, run.weight.columns); }

__global__ void __launch_bounds__(kRowThreads) keep_best_kernel(OptimizerRun run) {
  if (!run.state->improved) return;
  for_rows(run.weight.rows, run.weight.columns, [&](std::uint64_t row, std::uint64_t column) {
    const std::uint64_t at = row * run.weight.columns + column;
    run.best[at] = run.variant.schedule_free ? Prodigy::average(run.offsets[at], run.moments[0][at]) : run.offsets[at];
  });
}

/// Pass 1, by rows: moves the moments of rows, adds up what d is estimated from.
__global__ void __launch_bounds__(kRowThreads) rows_kernel(OptimizerRun run) {
  if (stopped(run)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const float* sampled = run.variant.schedule_free ? run.moments[0] : run.offsets;
  Prodigy::Sums sums{};
  double squares = 0;
  for_optimizer_rows<Prodigy>(
      run,
      [&](const OptimizerElement& e) {
        squares += static_cast<double>(e.gradient) * static_cast<double>(e.gradient);
        if (e.at % Prodigy::kSampling != 0) return;
        float& decayed = run.decayed_sums[e.at / Prodigy::kSampling];
        decayed = Prodigy::decayed_sum(s, decayed, e.gradient);
        Prodigy::add(sums, sampled[e.at], e.gradient, decayed);
      },
      [&](std::uint64_t row) {
        squares = block_sum(squares);
        const auto mean = static_cast<float>(squares / static_cast<double>(run.weight.columns));
        if (threadIdx.x == 0) run.row_moments[row] = Prodigy::second_moment(s, run.row_moments[row], mean);
        squares = 0;
        __syncthreads();
      });
  double* const parts[] = {&sums.dot, &sums.decayed, &sums.l1, &sums.squares};
  for (double* part : parts) {
    *part = block_sum(*part);
    __syncthreads();
  }
  if (threadIdx.x == 0) Scratch(run).sums[blockIdx.x] = sums;
}

/// Pass 1, by columns: a thread takes a column of a part of the rows.
__global__ void __launch_bounds__(kRowThreads) columns_kernel(OptimizerRun run) {
  if (stopped(run)) return;
  const std::uint64_t column = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (column >= run.weight.columns) return;
  const float inverse_loss = learn::inverse_loss(*run.state);
  const std::uint32_t group = run.grid.group_of[column];
  const std::uint64_t rows = (run.weight.rows + kColumnParts - 1) / kColumnParts;
  const std::uint64_t end = rows * (blockIdx.y + 1) < run.weight.rows ? rows * (blockIdx.y + 1) : run.weight.rows;
  double squares = 0;
  for (std::uint64_t row = rows * blockIdx.y; row < end; ++row) {
    const float by_value = run.gradient.data[row * run.weight.columns + column] * inverse_loss;
    const double gradient = learn::code_gradient<Prodigy>(run.rule, by_value, run.grid.scales[row * run.grid.groups + group]);
    squares += gradient * gradient;
  }
  Scratch(run).column_squares[blockIdx.y * run.weight.columns + column] = squares;
}

__global__ void __launch_bounds__(kRowThreads) finish_columns_kernel(OptimizerRun run) {
  if (stopped(run)) return;
  const std::uint64_t column = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (column >= run.weight.columns) return;
  const Scratch scratch(run);
  double squares = 0;
  for (std::uint64_t part = 0; part < kColumnParts; ++part) squares += scratch.column_squares[part * run.weight.columns + column];
  const auto mean = static_cast<float>(squares / static_cast<double>(run.weight.rows));
  run.column_moments[column] = Prodigy::second_moment(scalars_of(run), run.column_moments[column], mean);
}

/// One block.  `parts`: blocks of rows_kernel.
__global__ void __launch_bounds__(kRowThreads) finish_sums_kernel(OptimizerRun run, unsigned parts) {
  if (stopped(run)) return;
  const Scratch scratch(run);
  double moments = 0;
  for (std::uint64_t row = threadIdx.x; row < run.weight.rows; row += blockDim.x) moments += static_cast<double>(run.row_moments[row]);
  moments = block_sum(moments);
  __syncthreads();
  Prodigy::Sums sums{};
  for (unsigned i = threadIdx.x; i < parts; i += blockDim.x) Prodigy::add(sums, scratch.sums[i]);
  double* const totals[] = {&sums.dot, &sums.decayed, &sums.l1, &sums.squares};
  for (double* total : totals) {
    *total = block_sum(*total);
    __syncthreads();
  }
  if (threadIdx.x != 0) return;
  *scratch.mean_row_moment = moments / static_cast<double>(run.weight.rows);
  Prodigy::finish_sums(scalars_of(run), run.variant, sums);
}

/// Of moments that have been moved.
[[nodiscard]] __device__ float update_of(const OptimizerRun& run, const Prodigy::Scalars& s, const OptimizerElement& e, bool factored,
                                         float mean_row_moment) {
  const float numerator = run.variant.schedule_free ? s.gradient_factor * e.gradient : run.moments[0][e.at];
  const float moment =
      factored ? Prodigy::factored_moment(run.row_moments[e.row], run.column_moments[e.column], mean_row_moment) : run.moments[1][e.at];
  return Prodigy::update(s, numerator, moment);
}

/// Pass 2: moves the moments of elements, adds up the squares of updates.
__global__ void __launch_bounds__(kRowThreads) updates_kernel(OptimizerRun run) {
  if (stopped(run)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const bool factored = is_factored(run);
  const Scratch scratch(run);
  const auto mean = static_cast<float>(*scratch.mean_row_moment);
  double sum = 0;
  for_optimizer_rows<Prodigy>(run, [&](const OptimizerElement& e) {
    if (!factored) run.moments[1][e.at] = Prodigy::second_moment(s, run.moments[1][e.at], e.gradient * e.gradient);
    if (!run.variant.schedule_free) run.moments[0][e.at] = Prodigy::first_moment(s, run.moments[0][e.at], e.gradient);
    const double update = update_of(run, s, e, factored, mean);
    sum += update * update;
  });
  sum = block_sum(sum);
  if (threadIdx.x == 0) scratch.updates[blockIdx.x] = sum;
}

/// One block.
__global__ void __launch_bounds__(kRowThreads) finish_updates_kernel(OptimizerRun run, unsigned parts) {
  if (stopped(run)) return;
  const Scratch scratch(run);
  double sum = 0;
  for (unsigned i = threadIdx.x; i < parts; i += blockDim.x) sum += scratch.updates[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *scratch.squared_updates = sum;
}

/// Pass 3.
__global__ void __launch_bounds__(kRowThreads) move_kernel(OptimizerRun run) {
  if (stopped(run)) return;
  const Prodigy::Scalars s = scalars_of(run);
  const bool factored = is_factored(run);
  const Scratch scratch(run);
  const auto mean = static_cast<float>(*scratch.mean_row_moment);
  const float clip = Prodigy::clip(*scratch.squared_updates, run.weight.rows * run.weight.columns);
  for_optimizer_rows<Prodigy>(run, [&](const OptimizerElement& e) {
    const float clipped = update_of(run, s, e, factored, mean) * clip;
    float offset = run.offsets[e.at];
    if (run.variant.schedule_free) {
      Prodigy::move_both(s, offset, run.moments[0][e.at], clipped);
    } else {
      offset = Prodigy::move(s, offset, clipped);
    }
    place<Prodigy>(run, e, offset);
  });
}

}  // namespace

void launch_prodigy_step(const OptimizerRun& run, cudaStream_t stream) {
  const auto column_blocks = static_cast<unsigned>((run.weight.columns + kRowThreads - 1) / kRowThreads);
  const unsigned row_blocks = blocks_for_rows(run);
  const unsigned parts = blocks_for_rows(run, kSumParts);
  keep_best_kernel<<<row_blocks, kRowThreads, 0, stream>>>(run);
  rows_kernel<<<parts, kRowThreads, 0, stream>>>(run);
  columns_kernel<<<dim3(column_blocks, kColumnParts), kRowThreads, 0, stream>>>(run);
  finish_columns_kernel<<<column_blocks, kRowThreads, 0, stream>>>(run);
  finish_sums_kernel<<<1, kRowThreads, 0, stream>>>(run, parts);
  updates_kernel<<<parts, kRowThreads, 0, stream>>>(run);
  finish_updates_kernel<<<1, kRowThreads, 0, stream>>>(run, parts);
  move_kernel<<<row_blocks, kRowThreads, 0, stream>>>(run);
  check_launch("make a step of Prodigy");
}

}  // namespace halftone::cuda
