// Prodigy in one pass over the elements for each step (exchange.hpp).
//
// Offsets move late, and two steps share the way of moments and offsets through memory.  Let x(i) be the offsets of
// iteration i, whose loss is known, m(i) and u(i) the moments and updates of the step that it makes:
//
//   x(i+1) = x(i) - factor(i) · u(i),  u(i) = m(i) / (root(i) + epsilon(i)),  m(i) from m(i-1) and the gradient g(i)
//
// factor(i) is known after all u(i).  What is in memory when the pass of iteration i begins, and what it does:
//
//   i odd,  the first of a pair:  m(i-1) and x(i-1); finds m(i) for u(i), and keeps none of them;
//   i even, the second:           m(i-2) and x(i-2), g(i-1) beside g(i); makes m(i-1), x(i-1), m(i), x(i).
//
// Both give back the updates times their scales, and both move x of the sampled elements, which has an array of its own.
//
// Of x, the best one is needed when the loop has stopped.  advance() says where each x(i) belongs: in slot(i), which is
// the other one than slot(i-1) if x(i-1) was the best then.  "Best" is what advance(i) says, before the pass of i:
//
//   i odd              not stopped:                    nothing is stored.  x(i) is stored by the pass of i+1 if it stays
//                                                      the best one there
//                      stopped, best is x(i):          x(i) goes to slot(i)
//                      stopped, best is another:       it is in its slot: the pass of i-1 has stored x(i-1), or both
//   i even             not stopped, best is x(i-1):    x(i-1) goes to slot(i-1), x(i) to slot(i): they differ
//                      not stopped, best is another:   x(i) goes to slot(i), whatever x(i-1) was.  A best one before
//                                                      x(i-1) is in the other slot, or x(i) is the best
//                      stopped, best is x(i) or x(i-1): it goes to its slot
//                      stopped, best is another:       it is in its slot
//
// A pass reads each x(i-2) before it writes there.  In the first pair, i-1 or i-2 is 0: factor(0), m(0), x(0) and the roots
// are 0, and so are the moves.  A loop whose scales move between iterations does not lag: it is_observed.

#include "learn/prodigy_passes.cuh"

namespace halftone::cuda {
namespace {

/// Elements of a row that a thread takes at a time.
constexpr int kTogether = 8;
constexpr unsigned kBlocksOfProcessor = 2;
/// Blocks, a few for each multiprocessor of a large GPU.  Their number decides the order of sums, so it is no GPU's own.
constexpr std::uint64_t kLaggedBlocks = 264;
static_assert(kLaggedBlocks <= learn::kSumParts);

using Halves = Packed<__half, kTogether>;

/// What a thread has of every row: kTogether columns, from `column` on.
class Strip {
 public:
  /// The threads of the grid share the strips of a row, then those of the next rows, as far as there are enough for a whole row.
  explicit __device__ Strip(const learn::Matrix& weight) : rows_(weight.rows), columns_(weight.columns) {
    const std::uint64_t in_row = weight.columns / kTogether;
    const std::uint64_t threads = std::uint64_t{gridDim.x} * kRowThreads;
    row_step_ = threads / in_row;
    const std::uint64_t own = std::uint64_t{blockIdx.x} * kRowThreads + threadIdx.x;
    exists_ = own < row_step_ * in_row;
    row_ = own / in_row;
    column_ = own % in_row * kTogether;
  }

  [[nodiscard]] __device__ bool exists() const { return exists_; }
  [[nodiscard]] __device__ std::uint64_t column() const { return column_; }

  /// Calls read(place, before) and use(place, before) for each row, kAtOnce of which are read before the first of them is used.
  template <class Before, unsigned kAtOnce, class Read, class Use>
  __device__ void for_rows(const Read& read, const Use& use) const {
    if (!exists_) return;
    Before before[kAtOnce];
    for (std::uint64_t first = row_; first < rows_; first += kAtOnce * row_step_) {
#pragma unroll
      for (unsigned i = 0; i < kAtOnce; ++i) {
        if (const std::uint64_t row = first + i * row_step_; row < rows_) read(place(row), before[i]);
      }
#pragma unroll
      for (unsigned i = 0; i < kAtOnce; ++i) {
        if (const std::uint64_t row = first + i * row_step_; row < rows_) use(place(row), before[i]);
      }
    }
  }
  template <class Use>
  __device__ void for_rows(const Use& use) const {
    if (!exists_) return;
    for (std::uint64_t row = row_; row < rows_; row += row_step_) use(place(row));
  }

 private:
  [[nodiscard]] __device__ Place place(std::uint64_t row) const { return {row, column_, row * columns_ + column_}; }

  std::uint64_t rows_;
  std::uint64_t columns_;
  std::uint64_t row_;  ///< the first one
  std::uint64_t row_step_;
  std::uint64_t column_;
  bool exists_;
};

/// A step that has been made but for its moves.
class LateStep {
 public:
  /// `ago`: iterations since.
  __device__ LateStep(const OptimizerRun& run, const OptimizerScratch& scratch, const LaggedStep& step, unsigned ago)
      : factor_(static_cast<float>(step.factor)), rows(row_roots_of(run, scratch, ago)), columns(column_roots_of(run, scratch, ago)) {
    scalars_.epsilon = step.factor > 0 ? step.epsilon : 1.0F;
    scalars_.gradient_factor = step.gradient_factor;
  }

  /// m(i) from m(i-1).
  __device__ void find_moments(const float (&gradients)[kTogether], float (&moments)[kTogether]) const {
    for (int i = 0; i < kTogether; ++i) moments[i] = Prodigy::first_moment(scalars_, moments[i], gradients[i]);
  }
  /// x(i+1) from x(i).
  template <int kWide>
  __device__ void move(const SecondMoments<kWide>& second, const float (&moments)[kWide], float (&offsets)[kWide]) const {
    float updates[kWide];
    find_updates(scalars_, second.row, second, moments, updates);
    for (int i = 0; i < kWide; ++i) offsets[i] -= factor_ * updates[i];
  }

 private:
  Prodigy::Scalars scalars_{};
  float factor_;

 public:
  const float* rows;  ///< the roots of second moments
  const float* columns;
};

/// What the steps of a pair have in common.
template <bool kOneGroup>
class PairStep {
 public:
  /// What is known of a place before the step, as it lies in memory.
  struct Before {
    float moments[kTogether];
    Halves gradients;
    float row_moment;
    Sampled sampled;
    float decayed;
  };

  __device__ PairStep(const OptimizerRun& run, const Exchange<__half>& exchange, const OptimizerScratch& scratch)
      : run_(run), exchange_(exchange), scalars_(scalars_of(run)), rows_(row_roots_of(run, scratch, 0)) {
    const double moments = sum_of_parts(scratch.row_sums, (run.weight.rows + kRowThreads - 1) / kRowThreads);
    mean_ = static_cast<float>(moments / static_cast<double>(run.weight.rows));
  }

  __device__ void load_columns(const OptimizerScratch& scratch, std::uint64_t column) {
    load(column_roots_of(run_, scratch, 0) + column, present_.roots);
  }

  __device__ void read(const Place& place, Before& before) const {
    load_stream(run_.moments[0] + place.at, before.moments);
    before.gradients = load_packed<kTogether>(exchange_.gradient + place.at);
    before.row_moment = run_.row_moments[place.row];
    before.sampled = sampled_at(place);
    before.decayed = decayed_sum_at<kTogether>(run_, before.sampled);
  }

  /// The gradients by the codes.
  __device__ void find_gradients(const Halves& halves, const float (&scales)[kTogether], float (&gradients)[kTogether]) const {
    unpack(halves, gradients);
    for (int i = 0; i < kTogether; ++i) {
      gradients[i] = learn::code_gradient<Prodigy>(run_.rule, gradients[i] * exchange_.gradient_factor, scales[i]);
    }
  }

  /// Makes the step but for its move; before.moments become the next ones.  `x`: of the sampled element, if there is one.
  __device__ void make(const Place& place, Before& before, const float (&scales)[kTogether], float x, double& squares,
                       Prodigy::Sums& sums) {
    float gradients[kTogether];
    float updates[kTogether];
    find_gradients(before.gradients, scales, gradients);
    for (int i = 0; i < kTogether; ++i) before.moments[i] = Prodigy::first_moment(scalars_, before.moments[i], gradients[i]);
    const float row_root = Prodigy::row_root(before.row_moment, mean_);
    if (place.column == 0) rows_[place.row] = row_root;
    find_updates(scalars_, row_root, present_, before.moments, updates);
    if (before.sampled.index < kTogether) run_.sampled[before.sampled.number] = x;
    sample(
        run_, scalars_, before.sampled, before.decayed, gradients, [x](const Sampled&) { return x; }, sums);
    float few = 0;
    for (int i = 0; i < kTogether; ++i) {
      few += updates[i] * updates[i];
      updates[i] *= scales[i] * exchange_.error_factor;
    }
    squares += static_cast<double>(few);
    store(updates, exchange_.errors + place.at);
  }

 protected:
  const OptimizerRun& run_;
  const Exchange<__half>& exchange_;

 private:
  Prodigy::Scalars scalars_;
  float mean_;
  float* rows_;
  SecondMoments<kTogether> present_;
};

/// The step of an odd iteration.
template <bool kOneGroup>
class FirstStep : public PairStep<kOneGroup> {
 public:
  using Common = PairStep<kOneGroup>;
  static constexpr unsigned kParity = 1;  ///< of its iterations
  static constexpr unsigned kAtOnce = 2;  ///< rows that a thread reads together
  struct Before : Common::Before {
    float x[1];  ///< of the sampled element, before the last step moves it
    SecondMoments<1> second;
  };

  __device__ FirstStep(const OptimizerRun& run, const Exchange<__half>& exchange, const OptimizerScratch& scratch, const __half*)
      : Common(run, exchange, scratch), last_(run, scratch, scratch.lag->last, 1), stored_(run.offsets[scratch.lag->slot]) {}

  [[nodiscard]] static __device__ bool must_flush(const learn::LoopState& state) { return state.improved; }

  __device__ void load_columns(const OptimizerScratch& scratch, std::uint64_t column) { Common::load_columns(scratch, column); }

  __device__ void read(const Place& place, Before& before) const {
    Common::read(place, before);
    if (before.sampled.index >= kTogether) return;
    before.x[0] = this->run_.sampled[before.sampled.number];
    before.second.row = last_.rows[place.row];
    before.second.roots[0] = last_.columns[place.column + before.sampled.index];
  }

  __device__ void make(const Place& place, Before& before, double& squares, Prodigy::Sums& sums) {
    float scales[kTogether];
    load_scales<kOneGroup>(this->run_.grid, place, scales);
    if (before.sampled.index < kTogether) {
      const float moment[1] = {element_at(before.moments, before.sampled.index)};
      last_.move(before.second, moment, before.x);
    }
    Common::make(place, before, scales, before.x[0], squares, sums);
  }

  __device__ void flush(const Place& place) const {
    float moments[kTogether];
    float offsets[kTogether];
    SecondMoments<kTogether> second;
    load_stream(this->run_.moments[0] + place.at, moments);
    load_stream(stored_ + place.at, offsets);
    second.row = last_.rows[place.row];
    load(last_.columns + place.column, second.roots);
    last_.move(second, moments, offsets);
    store_stream(offsets, this->run_.offsets[this->run_.state->slot] + place.at);
  }

 private:
  LateStep last_;
  const float* stored_;
};

/// The step of an even iteration.
template <bool kOneGroup>
class SecondStep : public PairStep<kOneGroup> {
 public:
  using Common = PairStep<kOneGroup>;
  static constexpr unsigned kParity = 0;
  static constexpr unsigned kAtOnce = 1;
  struct Before : Common::Before {
    float offsets[kTogether];
    Halves former_gradients;
    float rows[2];  ///< roots: of the last step, of the one before it
  };

  __device__ SecondStep(const OptimizerRun& run, const Exchange<__half>& exchange, const OptimizerScratch& scratch,
                        const __half* former_gradient)
      : Common(run, exchange, scratch),
        last_(run, scratch, scratch.lag->last, 1),
        former_(run, scratch, scratch.lag->former, 2),
        former_gradient_(former_gradient),
        stored_(run.offsets[scratch.lag->slot]),
        to_(stopped(run) && !run.state->improved ? nullptr : run.offsets[run.state->slot]),
        former_to_(last_was_best(*run.state) ? run.offsets[run.state->best_slot] : nullptr) {}

  [[nodiscard]] static __device__ bool must_flush(const learn::LoopState& state) { return state.improved || last_was_best(state); }

  __device__ void load_columns(const OptimizerScratch& scratch, std::uint64_t column) {
    Common::load_columns(scratch, column);
    load(last_.columns + column, last_second_.roots);
    load(former_.columns + column, former_second_.roots);
  }

  __device__ void read(const Place& place, Before& before) const {
    Common::read(place, before);
    load_stream(stored_ + place.at, before.offsets);
    before.former_gradients = load_packed<kTogether>(former_gradient_ + place.at);
    before.rows[0] = last_.rows[place.row];
    before.rows[1] = former_.rows[place.row];
  }

  __device__ void make(const Place& place, Before& before, double& squares, Prodigy::Sums& sums) {
    float scales[kTogether];
    load_scales<kOneGroup>(this->run_.grid, place, scales);
    move(place, before, scales);
    const float x = element_at(before.offsets, before.sampled.index);
    Common::make(place, before, scales, x, squares, sums);
    store_stream(before.moments, this->run_.moments[0] + place.at);
  }

  __device__ void flush(const Place& place) {
    Before before;
    float scales[kTogether];
    read(place, before);
    load_scales<kOneGroup>(this->run_.grid, place, scales);
    move(place, before, scales);
  }

 private:
  /// Whether x(i-1) is the best one still.
  [[nodiscard]] static __device__ bool last_was_best(const learn::LoopState& state) { return state.best_iteration == state.iterations - 1; }

  /// The moves of the last two steps; moments become those of the last one.
  __device__ void move(const Place& place, Before& before, const float (&scales)[kTogether]) {
    float gradients[kTogether];
    former_second_.row = before.rows[1];
    former_.move(former_second_, before.moments, before.offsets);
    if (former_to_ != nullptr) store_stream(before.offsets, former_to_ + place.at);
    this->find_gradients(before.former_gradients, scales, gradients);
    last_.find_moments(gradients, before.moments);
    last_second_.row = before.rows[0];
    last_.move(last_second_, before.moments, before.offsets);
    if (to_ != nullptr) store_stream(before.offsets, to_ + place.at);
  }

  LateStep last_;
  LateStep former_;
  const __half* former_gradient_;
  const float* stored_;
  float* to_;         ///< null: x(i) is not needed
  float* former_to_;  ///< null: x(i-1) is not needed
  SecondMoments<kTogether> last_second_;
  SecondMoments<kTogether> former_second_;
};

template <class Step>
__global__ void __launch_bounds__(kRowThreads, kBlocksOfProcessor)
    lagged_kernel(OptimizerRun run, Exchange<__half> exchange, const __half* former_gradient) {
  const OptimizerScratch scratch(run);
  const bool flushes = stopped(run);
  // Passes after the one in which a loop stops have the parity of other iterations, and nothing to do.
  const bool is_due = run.state->iterations % 2 == Step::kParity && scratch.lag->flushed == 0;
  if (flushes && !(is_due && Step::must_flush(*run.state))) return;
  Step step(run, exchange, scratch, former_gradient);
  const Strip strip(run.weight);
  if (strip.exists()) step.load_columns(scratch, strip.column());
  if (flushes) {
    strip.for_rows([&](const Place& place) { step.flush(place); });
    if (is_last_block(&scratch.tickets[3]) && threadIdx.x == 0) scratch.lag->flushed = 1;
    return;
  }
  Prodigy::Sums sums{};
  double squares = 0;
  using Before = typename Step::Before;
  strip.template for_rows<Before, Step::kAtOnce>([&](const Place& place, Before& before) { step.read(place, before); },
                                                 [&](const Place& place, Before& before) { step.make(place, before, squares, sums); });
  finish_step(run, scratch, squares, sums);
}

template <template <bool> class Step>
void launch_pass(const OptimizerRun& run, const Exchange<__half>& exchange, const __half* former_gradient, cudaStream_t stream) {
  launch_squares(run, exchange, true, stream);
  const auto kernel = run.grid.groups == 1 ? lagged_kernel<Step<true>> : lagged_kernel<Step<false>>;
  kernel<<<blocks_for(run, kTogether, kLaggedBlocks), kRowThreads, 0, stream>>>(run, exchange, former_gradient);
  check_launch("make a step of Prodigy");
}

}  // namespace

bool can_lag(const OptimizerRun& run) {
  const bool fills_rows = run.weight.columns / kTogether <= kLaggedBlocks * kRowThreads;
  return is_plain(run) && run.weight.columns % kTogether == 0 && fills_rows && !run.is_observed;
}

void launch_first_step(const OptimizerRun& run, const Exchange<__half>& exchange, cudaStream_t stream) {
  launch_pass<FirstStep>(run, exchange, nullptr, stream);
}

void launch_second_step(const OptimizerRun& run, const Exchange<__half>& exchange, const __half* former_gradient, cudaStream_t stream) {
  launch_pass<SecondStep>(run, exchange, former_gradient, stream);
}

}  // namespace halftone::cuda
