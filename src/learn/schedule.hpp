#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include <halftone/codec/hd.hpp>
#include <halftone/optimizer.hpp>

namespace halftone::learn {

/// Why a loop ended.
enum class StopReason : std::uint8_t {
  none,        ///< it has not
  loss,        ///< the loss is small enough
  rate,        ///< the learning rate is too small to change anything
  stall,       ///< no improvement for too long
  iterations,  ///< as many as were allowed
  diverged,    ///< the loss is no finite number
};

/// Options, and what the shape of the weight makes of them.
struct Schedule {
  ScheduleOptions options;
  double plateau_factor = 0;  ///< the factor of `plateau`, by shape
  double oblongness = 0;      ///< |rows - columns| / the larger of them
  double square_factor = 1;   ///< `adaptive` multiplies each change with it
};

[[nodiscard]] inline Schedule schedule_for(const ScheduleOptions& options, std::uint64_t rows, std::uint64_t columns) {
  const auto larger = static_cast<double>(rows > columns ? rows : columns);
  const auto smaller = static_cast<double>(rows > columns ? columns : rows);
  const double shaped = std::pow(options.factor, std::sqrt(larger / smaller));
  const double influence = options.shape_influence > 0 ? options.shape_influence : 0.0;
  return {options, options.factor + (shaped - options.factor) * influence, (larger - smaller) / larger, rows == columns ? 0.95 : 1.0};
}

/// Where a loop is; plain data that may lie in the memory of a device.
struct LoopState {
  double loss = 0;  ///< of the present iterate
  double best_loss = std::numeric_limits<double>::infinity();
  double first_loss = 0;
  double rate = 0;                   ///< after the schedule has seen the loss
  double previous_rate = 0;          ///< before it has
  std::uint32_t iterations = 0;      ///< losses seen
  std::uint32_t best_iteration = 0;  ///< the one, from 1, whose loss is the best
  std::uint32_t failures = 0;        ///< since the last improvement, where improvements reset it
  std::uint32_t waited = 0;          ///< `plateau`: failures since the rate last fell
  std::uint32_t cooling = 0;         ///< `plateau`: iterations in which the rate will not fall
  std::uint32_t slot = 0;            ///< OptimizerRun::offsets: the present iterate
  std::uint32_t best_slot = 0;       ///< the best one
  bool improved = false;             ///< the present iterate is the best; its slot is kept, and the next one goes to the other
  StopReason stop = StopReason::none;
};

[[nodiscard]] inline LoopState first_state(const Schedule& schedule) {
  LoopState state;
  state.rate = schedule.options.rate;
  state.previous_rate = state.rate;
  return state;
}

namespace detail {

[[nodiscard]] HALFTONE_HD double lower_of(double a, double b) { return a < b ? a : b; }
[[nodiscard]] HALFTONE_HD double higher_of(double a, double b) { return a > b ? a : b; }

inline constexpr double kLargest = std::numeric_limits<double>::max();

/// The largest rate that the two adaptive schedules reach.
inline constexpr double kFastest = 100.0;

[[nodiscard]] HALFTONE_HD bool improves(const ScheduleOptions& options, double loss, double best) {
  if (options.threshold == 0) return loss < best;
  return options.threshold_mode == ThresholdMode::relative ? loss < best * (1.0 - options.threshold) : best - loss > options.threshold;
}

/// `adaptive`: what an improvement after `failures` failures multiplies the rate with.
[[nodiscard]] HALFTONE_HD double tier_of_boost(std::uint32_t failures) {
  if (failures < 50) return 1.25;
  if (failures < 75) return 1.375;
  if (failures < 100) return 1.5;
  if (failures < 125) return 1.75;
  if (failures < 150) return 2.0;
  if (failures < 200) return 2.25;
  if (failures < 250) return 2.5;
  if (failures < 300) return 2.75;
  return 3.0;
}

struct DecayTier {
  double factor;
  double slowest;  ///< the rate does not fall below it
};

/// `adaptive`: what the failure number `failures` does to the rate.
[[nodiscard]] HALFTONE_HD DecayTier tier_of_decay(std::uint32_t failures) {
  if (failures < 26) return {0.95, 9e-8};
  if (failures < 51) return {0.97, 8e-8};
  if (failures < 76) return {0.985, 7e-8};
  if (failures < 101) return {0.9875, 6e-8};
  if (failures < 151) return {0.98875, 5e-8};
  if (failures < 201) return {0.99, 4e-8};
  if (failures < 251) return {0.99125, 3e-8};
  if (failures < 301) return {0.9925, 2e-8};
  return {0.995, 5e-9};
}

/// `before`: the failures before this iteration.
HALFTONE_HD void adapt(LoopState& state, const Schedule& schedule, std::uint32_t before) {
  if (state.improved) {
    const double boost = tier_of_boost(schedule.options.resets ? state.failures : before);
    state.rate = lower_of(state.rate * boost * schedule.square_factor, kFastest);
    state.failures = 0;
  } else {
    const DecayTier tier = tier_of_decay(state.failures);
    state.rate = higher_of(state.rate * tier.factor * schedule.square_factor, tier.slowest);
  }
}

HALFTONE_HD void follow_cosine(LoopState& state, const Schedule& schedule, std::uint32_t before) {
  constexpr double two_pi = 6.283185307179586;
  const ScheduleOptions& options = schedule.options;
  const std::uint32_t count = state.improved ? before : state.failures;
  const std::uint32_t period = options.stop.stall > 0 ? options.stop.stall : 1;
  const double wave = (1.0 + std::cos(two_pi * lower_of(static_cast<double>(count) / period, 1.0))) / 2.0;
  const std::uint32_t interval = options.cooldown > 0 ? options.cooldown : 1;
  if (state.improved) {
    const double boost = 1.0 + 0.25 * (1.0 + 0.5 * schedule.oblongness) * (1.0 - wave);
    state.rate = lower_of(state.rate * boost, kFastest);
    state.failures = 0;
  } else if ((state.iterations - 1) % interval == 0) {
    const double lowest = options.factor - 0.03 * schedule.oblongness;
    state.rate = higher_of(state.rate * (lowest + (0.995 - lowest) * wave), options.stop.rate);
  }
}

HALFTONE_HD void follow_plateau(LoopState& state, const Schedule& schedule) {
  const ScheduleOptions& options = schedule.options;
  if (state.cooling > 0) {
    --state.cooling;
  } else if (state.waited >= options.patience) {
    if (state.rate > options.smallest_rate) {
      state.rate = higher_of(state.rate * schedule.plateau_factor, options.smallest_rate);
      state.cooling = options.cooldown;
    }
    state.waited = 0;
  }
}

/// Sets the rate for the present loss; `before`: the failures before it.
HALFTONE_HD void set_rate(LoopState& state, const Schedule& schedule, std::uint32_t before) {
  const ScheduleOptions& options = schedule.options;
  const bool warming_up = state.iterations <= options.warm_up;
  if (warming_up) state.waited = 0;
  switch (options.schedule) {
    case LearningSchedule::adaptive: adapt(state, schedule, before); return;
    case LearningSchedule::cosine: follow_cosine(state, schedule, before); return;
    case LearningSchedule::exponential:
      if (!warming_up) state.rate = higher_of(state.rate * options.gamma, options.smallest_rate);
      return;
    case LearningSchedule::plateau: follow_plateau(state, schedule); return;
  }
}

[[nodiscard]] HALFTONE_HD bool reached(const StopRule& rule, double value, double bound) {
  if (rule.zero_disables && !(bound > 0)) return false;
  return rule.strict ? value < bound : value <= bound;
}

[[nodiscard]] HALFTONE_HD bool stalled(const StopRule& rule, std::uint32_t failures) {
  if (rule.zero_disables) return rule.stall > 0 && failures >= rule.stall;
  return failures > rule.stall;
}

[[nodiscard]] HALFTONE_HD StopReason stop_reason(const LoopState& state, const ScheduleOptions& options) {
  if (reached(options.stop, options.stop.judges_best ? state.best_loss : state.loss, options.stop.loss)) return StopReason::loss;
  if (reached(options.stop, state.rate, options.stop.rate)) return StopReason::rate;
  if (stalled(options.stop, state.failures)) return StopReason::stall;
  return state.iterations >= options.iterations ? StopReason::iterations : StopReason::none;
}

}  // namespace detail

/// Lets a loop see the loss of its present iterate: whether it is the best, the rate from here on, and whether to stop.
/// Does nothing once the loop has stopped.
HALFTONE_HD void advance(LoopState& state, const Schedule& schedule, double loss) {
  if (state.stop != StopReason::none) return;
  if (state.improved) state.slot = 1 - state.slot;
  ++state.iterations;
  state.loss = loss;
  state.previous_rate = state.rate;
  if (state.iterations == 1) state.first_loss = loss;
  if (!(loss >= -detail::kLargest && loss <= detail::kLargest)) {
    state.improved = false;
    state.stop = StopReason::diverged;
    return;
  }
  const std::uint32_t before = state.failures;
  state.improved = detail::improves(schedule.options, loss, state.best_loss);
  if (state.improved) {
    state.best_loss = loss;
    state.best_iteration = state.iterations;
    state.best_slot = state.slot;
    state.waited = 0;
    if (schedule.options.resets) state.failures = 0;
  } else {
    ++state.failures;
    ++state.waited;
  }
  detail::set_rate(state, schedule, before);
  state.stop = detail::stop_reason(state, schedule.options);
}

}  // namespace halftone::learn
