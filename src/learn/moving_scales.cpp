#include "learn/moving_scales.hpp"

#include <algorithm>
#include <limits>

namespace halftone::learn {
namespace {

/// Columns of a group of a grid; the last one of a row may have fewer.
std::uint64_t group_width(Engine& engine, const Grid& grid, std::uint64_t columns) {
  std::vector<std::uint32_t> groups(columns);
  engine.download(grid.group_of, groups.data(), columns * sizeof(std::uint32_t));
  return static_cast<std::uint64_t>(std::count(groups.begin(), groups.end(), 0U));
}

}  // namespace

MovingScales::MovingScales(Engine& engine, const Layer& layer, const OptimizerSettings& settings, Measure measure, StoredScales& scales,
                           OptimizerRun& run)
    : engine_(engine),
      layer_(layer),
      settings_(settings),
      measure_(std::move(measure)),
      best_(scales),
      run_(run),
      memory_(engine),
      now_(scales),
      width_(group_width(engine, layer.grid, layer.columns())),
      on_grid_(layer.rows() * layer.grid.groups),
      values_(memory_.array<float>(on_grid_)),
      first_errors_(memory_.matrix(layer.rows(), layer.columns())),
      rounded_(memory_.array<std::uint8_t>(layer.elements())),
      dots_(memory_.array<float>(on_grid_)),
      squares_(memory_.array<float>(on_grid_)),
      dots_of_(scales.count()),
      squares_of_(scales.count()) {
  for (std::uint64_t i = 0; i < scales.count(); ++i) wanted_.push_back(static_cast<double>(scales.value(i)));
  for (std::uint64_t row = 0; row < layer.rows(); ++row) {
    for (std::uint64_t group = 0; group < layer.grid.groups; ++group) {
      index_of_.push_back(static_cast<std::uint32_t>(scales.index_of(row, group * width_)));
    }
  }
  run.grid.scales = values_;
  run.first_errors = first_errors_.data;
  use(now_);
}

bool MovingScales::look(const LoopState& state) {
  if (state.best_iteration > seen_) best_ = now_;
  seen_ = state.iterations;
  const std::uint32_t part = std::max(settings_.schedule.iterations / settings_.scale_rounds, 1U);
  const bool is_due = is_joint() || (fits_ + 1 < settings_.scale_rounds && state.iterations >= (fits_ + 1) * part);
  if (!is_due || state.stop != StopReason::none) return false;
  const float* offsets = run_.offsets[state.improved ? 1 - state.slot : state.slot];
  engine_.errors_at(first_errors_, offsets, run_.grid, measure_.errors);
  if (is_joint()) {
    follow(measure_.slope(), layer_.levels, offsets);
  } else {
    engine_.round(layer_.weight, measure_.errors, layer_.weight, run_.grid, rounded_, measure_.errors);
    fit(rounded_);
    ++fits_;
  }
  engine_.errors_at(first_errors_, offsets, run_.grid, measure_.errors);
  return true;
}

void MovingScales::finish(const float* best, std::uint8_t* levels) {
  use(best_);
  now_ = best_;
  engine_.errors_at(first_errors_, best, run_.grid, measure_.errors);
  engine_.round(layer_.weight, measure_.errors, layer_.weight, run_.grid, levels, measure_.errors);
  if (!is_joint()) fit(levels);
  best_ = now_;
  engine_.errors_of(levels, layer_.weight, run_.grid, measure_.errors);
}

/// Moves the scales of codes that stay, to those of the lowest loss on a way down its gradient that is within the budget.
void MovingScales::fit(std::uint8_t* levels) {
  constexpr int steps = 16;
  for (std::uint64_t i = 0; i < now_.count(); ++i) wanted_[i] = static_cast<double>(now_.value(i));
  StoredScales lowest = now_;
  double lowest_loss = std::numeric_limits<double>::infinity();
  for (int i = 0; i <= steps; ++i) {
    engine_.errors_of(levels, layer_.weight, run_.grid, measure_.errors);
    const Slope slope = measure_.slope();
    if (slope.loss < lowest_loss && (i == 0 || engine_.squared_norm(measure_.errors) <= measure_.most_error)) {
      lowest = now_;
      lowest_loss = slope.loss;
    }
    if (i < steps) follow(slope, levels, nullptr);
  }
  now_ = lowest;
  use(now_);
}

/// A step of gradient descent on half the squared loss, by scales in units in which each moves its group by a vector of norm
/// 1.  Projections lengthen nothing, so that the gradient changes no faster than its variable, and a step of 1 does not
/// overshoot.
void MovingScales::follow(const Slope& slope, const std::uint8_t* levels, const float* offsets) {
  gather(levels, offsets, slope.gradient);
  for (std::uint64_t i = 0; i < now_.count(); ++i) {
    if (!(squares_of_[i] > 0)) continue;
    const auto before = static_cast<double>(now_.value(i));
    wanted_[i] = std::clamp(wanted_[i] - dots_of_[i] / squares_of_[i], 0.5 * before, 2.0 * before);
    now_.move(i, static_cast<float>(wanted_[i]));
  }
  use(now_);
}

/// Adds up, for each scale, Σ a · code and Σ code².
void MovingScales::gather(const std::uint8_t* levels, const float* offsets, const Matrix& a) {
  engine_.code_sums(levels, offsets, a, run_.grid, width_, dots_, squares_);
  std::vector<float> dots(on_grid_);
  std::vector<float> squares(on_grid_);
  engine_.download(dots_, dots.data(), on_grid_ * sizeof(float));
  engine_.download(squares_, squares.data(), on_grid_ * sizeof(float));
  std::fill(dots_of_.begin(), dots_of_.end(), 0.0);
  std::fill(squares_of_.begin(), squares_of_.end(), 0.0);
  for (std::uint64_t i = 0; i < on_grid_; ++i) {
    const std::uint32_t index = index_of_[i];
    dots_of_[index] += static_cast<double>(dots[i]);
    squares_of_[index] += static_cast<double>(squares[i]);
  }
}

void MovingScales::use(const StoredScales& scales) {
  std::vector<float> values(on_grid_);
  for (std::uint64_t i = 0; i < on_grid_; ++i) {
    values[i] = scales.value(index_of_[i]);
  }
  engine_.upload(values.data(), values_, on_grid_ * sizeof(float));
  engine_.errors_of(layer_.levels, layer_.weight, run_.grid, first_errors_);
}

}  // namespace halftone::learn
