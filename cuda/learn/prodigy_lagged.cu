// Prodigy in one pass over the elements (exchange.hpp).

#include "learn/prodigy_passes.cuh"

namespace halftone::cuda {
namespace {

/// Elements of a row that a thread takes at a time, and rows of which it does.
constexpr int kTogether = 8;
constexpr unsigned kRowsAtOnce = 1;
constexpr unsigned kBlocksOfProcessor = 2;
/// Blocks, a few for each multiprocessor of a large GPU.  Their number decides the order of sums, so it is no GPU's own.
constexpr std::uint64_t kLaggedBlocks = 264;
static_assert(kLaggedBlocks <= learn::kSumParts);

/// What a thread has of every row: kTogether columns, from `column` on.
struct Strip {
  std::uint64_t row;  ///< the first one
  std::uint64_t row_step;
  std::uint64_t column;
  bool exists;

  /// The threads of the grid share the strips of a row, then those of the next rows, as far as there are enough for a whole row.
  explicit __device__ Strip(std::uint64_t columns) {
    const std::uint64_t in_row = columns / kTogether;
    const std::uint64_t threads = std::uint64_t{gridDim.x} * kRowThreads;
    const std::uint64_t rows = threads / in_row;
    const std::uint64_t own = std::uint64_t{blockIdx.x} * kRowThreads + threadIdx.x;
    exists = own < rows * in_row;
    row = own / in_row * kRowsAtOnce;
    row_step = rows * kRowsAtOnce;
    column = own % in_row * kTogether;
  }
};

/// What is known of elements of a row before their step, as it lies in memory.
template <class T>
struct Before {
  float moments[kTogether];
  float offsets[kTogether];
  Packed<T, kTogether> gradients;
  float former_root;  ///< of the second moment of the row, in the last step
  float row_moment;
  Sampled sampled;
  float decayed;
};

/// Passes 3 of the last step and 2 of this one in one go: offsets are moved late, by what `lag` says of the last step, and
/// what is given back are not errors but the updates times their scales, by which errors change.
template <class T, bool kOneGroup>
class LaggedStep {
 public:
  __device__ LaggedStep(const OptimizerRun& run, const Exchange<T>& exchange, const OptimizerScratch& scratch, const Lag& lag)
      : run_(run),
        exchange_(exchange),
        scalars_(scalars_of(run)),
        step_(static_cast<float>(lag.step)),
        from_(run.offsets[lag.slot]),
        to_(run.offsets[run.state->slot]),
        former_rows_(scratch.row_roots + (1 - turn_of(run)) * run.weight.rows),
        rows_(scratch.row_roots + turn_of(run) * run.weight.rows) {
    last_.epsilon = lag.step > 0 ? lag.epsilon : 1.0F;
    const double moments = sum_of_parts(scratch.row_sums, (run.weight.rows + kRowThreads - 1) / kRowThreads);
    mean_ = static_cast<float>(moments / static_cast<double>(run.weight.rows));
  }

  __device__ void load_columns(const OptimizerScratch& scratch, std::uint64_t column) {
    const std::uint64_t turn = turn_of(run_);
    load(scratch.column_roots + (1 - turn) * run_.weight.columns + column, former_.roots);
    load(scratch.column_roots + turn * run_.weight.columns + column, present_.roots);
  }

  __device__ void read(const Place& place, Before<T>& before) const {
    load_stream(run_.moments[0] + place.at, before.moments);
    load_stream(from_ + place.at, before.offsets);
    before.former_root = former_rows_[place.row];
    before.gradients = load_packed<kTogether>(exchange_.gradient + place.at);
    before.row_moment = run_.row_moments[place.row];
    before.sampled = sampled_at(place);
    before.decayed = decayed_sum_at<kTogether>(run_, before.sampled);
  }

  /// Makes the last step.
  __device__ void move(Before<T>& before) {
    float updates[kTogether];
    former_.row = before.former_root;
    find_updates(last_, former_.row, former_, before.moments, updates);
    for (int i = 0; i < kTogether; ++i) before.offsets[i] -= step_ * updates[i];
  }
  __device__ void store_offsets(const Place& place, const Before<T>& before) const { store_stream(before.offsets, to_ + place.at); }

  /// Finds this step.
  __device__ void step(const Place& place, Before<T>& before, double& squares, Prodigy::Sums& sums) {
    float scales[kTogether];
    float gradients[kTogether];
    float updates[kTogether];
    load_scales<kOneGroup>(run_.grid, place, scales);
    unpack(before.gradients, gradients);
    for (int i = 0; i < kTogether; ++i) {
      gradients[i] = learn::code_gradient<Prodigy>(run_.rule, gradients[i] * exchange_.gradient_factor, scales[i]);
      before.moments[i] = Prodigy::first_moment(scalars_, before.moments[i], gradients[i]);
    }
    const float row_root = Prodigy::row_root(before.row_moment, mean_);
    if (place.column == 0) rows_[place.row] = row_root;
    find_updates(scalars_, row_root, present_, before.moments, updates);
    const auto variable = [&](const Sampled& sampled) { return element_at(before.offsets, sampled.index); };
    sample(run_, scalars_, before.sampled, before.decayed, gradients, variable, sums);
    store_stream(before.moments, run_.moments[0] + place.at);
    float few = 0;
    for (int i = 0; i < kTogether; ++i) {
      few += updates[i] * updates[i];
      updates[i] *= scales[i] * exchange_.error_factor;
    }
    squares += static_cast<double>(few);
    store(updates, exchange_.errors + place.at);
  }

 private:
  const OptimizerRun& run_;
  const Exchange<T>& exchange_;
  Prodigy::Scalars scalars_;
  Prodigy::Scalars last_{};
  float step_;
  float mean_;
  const float* from_;
  float* to_;
  const float* former_rows_;
  float* rows_;
  SecondMoments<kTogether> former_;
  SecondMoments<kTogether> present_;
};

template <class T, bool kOneGroup>
__global__ void __launch_bounds__(kRowThreads, kBlocksOfProcessor) lagged_kernel(OptimizerRun run, Exchange<T> exchange) {
  const OptimizerScratch scratch(run);
  const bool only_moves = stopped(run);
  const Lag lag = *scratch.lag;
  if (only_moves && (lag.flushed != 0 || !run.state->improved)) return;
  LaggedStep<T, kOneGroup> step(run, exchange, scratch, lag);
  const Strip strip(run.weight.columns);
  if (strip.exists) step.load_columns(scratch, strip.column);
  Prodigy::Sums sums{};
  double squares = 0;
  for (std::uint64_t first = strip.row; first < run.weight.rows && strip.exists; first += strip.row_step) {
    const auto place = [&](unsigned i) { return Place{first + i, strip.column, (first + i) * run.weight.columns + strip.column}; };
    Before<T> before[kRowsAtOnce];
#pragma unroll
    for (unsigned i = 0; i < kRowsAtOnce; ++i) {
      if (first + i < run.weight.rows) step.read(place(i), before[i]);
    }
#pragma unroll
    for (unsigned i = 0; i < kRowsAtOnce; ++i) {
      if (first + i >= run.weight.rows) break;
      step.move(before[i]);
      step.store_offsets(place(i), before[i]);
      if (!only_moves) step.step(place(i), before[i], squares, sums);
    }
  }
  if (!only_moves) return finish_step(run, scratch, squares, sums);
  if (is_last_block(&scratch.tickets[3]) && threadIdx.x == 0) scratch.lag->flushed = 1;
}

}  // namespace

bool can_lag(const OptimizerRun& run) {
  const bool fills_rows = run.weight.columns / kTogether <= kLaggedBlocks * kRowThreads;
  return is_plain(run) && run.weight.columns % kTogether == 0 && fills_rows && !run.is_observed;
}

void launch_lagged_step(const OptimizerRun& run, const Exchange<__half>& exchange, cudaStream_t stream) {
  launch_squares(run, exchange, true, stream);
  const unsigned blocks = blocks_for(run, kTogether, kLaggedBlocks);
  if (run.grid.groups == 1) {
    lagged_kernel<__half, true><<<blocks, kRowThreads, 0, stream>>>(run, exchange);
  } else {
    lagged_kernel<__half, false><<<blocks, kRowThreads, 0, stream>>>(run, exchange);
  }
  check_launch("make a step of Prodigy");
}

}  // namespace halftone::cuda
