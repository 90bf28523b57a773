#include "cpu/learn/optimizer_steps.hpp"

#include <cmath>
#include <vector>

namespace halftone::cpu {
namespace {

using learn::OptimizerRun;
using learn::Prodigy;

/// An element of the weight, and what an optimizer is told of it.
struct Element {
  std::uint64_t row;
  std::uint64_t column;
  std::uint64_t at;
  float value;  ///< of its level, in units of the scale
  float scale;
  float gradient;  ///< by its code
};

/// Calls function(element) for every element, row by row.
template <class O, class Function>
void for_each_element(const OptimizerRun& run, const Function& function) {
  const float inverse_loss = learn::inverse_loss(*run.state);
  for (std::uint64_t row = 0; row < run.weight.rows; ++row) {
    const float* scales = run.grid.scales + row * run.grid.groups;
    for (std::uint64_t column = 0; column < run.weight.columns; ++column) {
      const std::uint64_t at = row * run.weight.columns + column;
      const float scale = scales[run.grid.group_of[column]];
      const float gradient = learn::code_gradient<O>(run.rule, run.gradient.data[at] * inverse_loss, scale);
      function(Element{row, column, at, run.grid.levels->values[run.levels[at]], scale, gradient});
    }
  }
}

/// Stores the offset of an element, and the error that it makes.
template <class O>
void place(const OptimizerRun& run, const Element& e, float offset) {
  const float limited = learn::limited<O>(run.rule, e.value, offset);
  next_offsets(run)[e.at] = limited;
  run.errors.data[e.at] = learn::error_at(run.first_errors[e.at], limited, e.scale);
}

template <class O>
void step_elements(const OptimizerRun& run) {
  const auto& scalars = *static_cast<const typename O::Scalars*>(run.scalars);
  const float* offsets = run.offsets[run.state->slot];
  for_each_element<O>(run, [&](const Element& e) {
    float moments[2] = {};
    for (int i = 0; i < O::kMoments; ++i) moments[i] = run.moments[i][e.at];
    const float offset = O::step(scalars, offsets[e.at], e.gradient, moments);
    for (int i = 0; i < O::kMoments; ++i) run.moments[i][e.at] = moments[i];
    place<O>(run, e, offset);
  });
}

/// The three passes of a step of Prodigy.
class ProdigyStep {
 public:
  explicit ProdigyStep(const OptimizerRun& run)
      : run_(run),
        offsets_(run.offsets[run.state->slot]),
        s_(*static_cast<Prodigy::Scalars*>(run.scalars)),
        factored_(Prodigy::is_factored(run.weight.rows, run.weight.columns)) {}

  void take() {
    gather_sums();
    if (factored_) set_factors();
    const float clip = Prodigy::clip(squared_updates(), run_.weight.rows * run_.weight.columns);
    for_each_element<Prodigy>(run_, [&](const Element& e) {
      const float clipped = update_of(e) * clip;
      float offset = offsets_[e.at];
      if (run_.variant.schedule_free) {
        Prodigy::move_both(s_, offset, run_.moments[0][e.at], clipped);
      } else {
        offset = Prodigy::move(s_, offset, clipped);
      }
      if (e.at % Prodigy::kSampling == 0) {
        run_.sampled[e.at / Prodigy::kSampling] = run_.variant.schedule_free ? run_.moments[0][e.at] : offset;
      }
      place<Prodigy>(run_, e, offset);
    });
  }

 private:
  void gather_sums() {
    row_squares_.assign(run_.weight.rows, 0);
    column_squares_.assign(run_.weight.columns, 0);
    Prodigy::Sums sums{};
    for_each_element<Prodigy>(run_, [&](const Element& e) {
      const double square = static_cast<double>(e.gradient) * static_cast<double>(e.gradient);
      row_squares_[e.row] += square;
      column_squares_[e.column] += square;
      if (e.at % Prodigy::kSampling != 0) return;
      float& decayed = run_.decayed_sums[e.at / Prodigy::kSampling];
      decayed = Prodigy::decayed_sum(s_, decayed, e.gradient);
      Prodigy::add(sums, run_.sampled[e.at / Prodigy::kSampling], e.gradient, decayed);
    });
    Prodigy::finish_sums(s_, run_.variant, sums);
  }

  void set_factors() {
    row_roots_.resize(run_.weight.rows);
    column_roots_.resize(run_.weight.columns);
    double sum = 0;
    for (std::uint64_t row = 0; row < run_.weight.rows; ++row) {
      const auto mean = static_cast<float>(row_squares_[row] / static_cast<double>(run_.weight.columns));
      run_.row_moments[row] = Prodigy::second_moment(s_, run_.row_moments[row], mean);
      sum += static_cast<double>(run_.row_moments[row]);
    }
    for (std::uint64_t column = 0; column < run_.weight.columns; ++column) {
      const auto mean = static_cast<float>(column_squares_[column] / static_cast<double>(run_.weight.rows));
      run_.column_moments[column] = Prodigy::second_moment(s_, run_.column_moments[column], mean);
      column_roots_[column] = Prodigy::column_root(run_.column_moments[column]);
    }
    const auto mean = static_cast<float>(sum / static_cast<double>(run_.weight.rows));
    for (std::uint64_t row = 0; row < run_.weight.rows; ++row) row_roots_[row] = Prodigy::row_root(run_.row_moments[row], mean);
  }

  /// Moves the moments of elements and returns the sum of the squared updates.
  double squared_updates() {
    double sum = 0;
    for_each_element<Prodigy>(run_, [&](const Element& e) {
      if (!factored_) run_.moments[1][e.at] = Prodigy::second_moment(s_, run_.moments[1][e.at], e.gradient * e.gradient);
      if (!run_.variant.schedule_free) run_.moments[0][e.at] = Prodigy::first_moment(s_, run_.moments[0][e.at], e.gradient);
      const auto update = static_cast<double>(update_of(e));
      sum += update * update;
    });
    return sum;
  }

  /// Of moments that have been moved.
  [[nodiscard]] float update_of(const Element& e) const {
    const float numerator = run_.variant.schedule_free ? s_.gradient_factor * e.gradient : run_.moments[0][e.at];
    const float root = factored_ ? row_roots_[e.row] * column_roots_[e.column] : std::sqrt(run_.moments[1][e.at]);
    return Prodigy::update(s_, numerator, root);
  }

  const OptimizerRun& run_;
  const float* offsets_;
  Prodigy::Scalars& s_;
  bool factored_;
  std::vector<double> row_squares_;
  std::vector<double> column_squares_;
  std::vector<float> row_roots_;
  std::vector<float> column_roots_;
};

void keep_average(const OptimizerRun& run) {
  const float* offsets = run.offsets[run.state->slot];
  for (std::uint64_t i = 0; i < run.weight.rows * run.weight.columns; ++i) run.average[i] = Prodigy::average(offsets[i], run.moments[0][i]);
}

/// The steps of optimizers that look at more than one element.
void take_step(Prodigy, const OptimizerRun& run) { ProdigyStep(run).take(); }

}  // namespace

void advance(const OptimizerRun& run, double loss) {
  learn::advance(*run.state, run.schedule, loss);
  if (run.state->stop != learn::StopReason::none) return;
  learn::with_optimizer(run.optimizer,
                        [&]<class O>(O) { O::prepare(*static_cast<typename O::Scalars*>(run.scalars), run.variant, *run.state); });
}

void optimizer_step(const OptimizerRun& run) {
  if (run.state->improved && run.average != nullptr) keep_average(run);
  if (run.state->stop != learn::StopReason::none) return;
  learn::with_optimizer(run.optimizer, [&]<class O>(O) {
    if constexpr (O::kElementwise) {
      step_elements<O>(run);
    } else {
      take_step(O{}, run);
    }
  });
}

}  // namespace halftone::cpu
