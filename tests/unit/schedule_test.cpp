#include "learn/schedule.hpp"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace halftone::learn {
namespace {

/// The state after a loop has seen `losses`.
LoopState after(const Schedule& schedule, const std::vector<double>& losses) {
  LoopState state = first_state(schedule);
  for (const double loss : losses) advance(state, schedule, loss);
  return state;
}

/// Rates after each of `losses`.
std::vector<double> rates(const Schedule& schedule, const std::vector<double>& losses) {
  LoopState state = first_state(schedule);
  std::vector<double> seen;
  for (const double loss : losses) {
    advance(state, schedule, loss);
    seen.push_back(state.rate);
  }
  return seen;
}

void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12 * expected[i]) << "loss " << i;
}

Schedule square(const ScheduleOptions& options) { return schedule_for(options, 64, 64); }

TEST(Schedule, Plateau_falls_from_1_to_its_end_in_359_failures) {
  const Schedule schedule = square({});
  LoopState state = first_state(schedule);
  advance(state, schedule, 1.0);
  while (state.stop == StopReason::none) advance(state, schedule, 1.0);
  EXPECT_EQ(state.stop, StopReason::rate);
  EXPECT_EQ(state.failures, 359U);
  EXPECT_NEAR(state.rate, std::pow(0.95, 359), 1e-20);
}

TEST(Schedule, Plateau_waits_for_its_patience_and_then_cools_down) {
  const Schedule schedule = square({.rate = 1, .factor = 0.5, .patience = 2, .cooldown = 3});
  // The wait goes on while the rate cools down, so the rate falls at once when that is over.
  expect_near(rates(schedule, {1, 1, 1, 1, 1, 1, 1, 1, 1}), {1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25});
  // An improvement ends the wait, not the cooling down.
  expect_near(rates(schedule, {4, 4, 3, 3, 3, 2, 2, 2, 2}), {1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25});
}

TEST(Schedule, Plateau_is_faster_for_oblong_weights) {
  EXPECT_DOUBLE_EQ(schedule_for({}, 64, 64).plateau_factor, 0.95);
  EXPECT_DOUBLE_EQ(schedule_for({}, 64, 256).plateau_factor, 0.95 * 0.95);
  EXPECT_DOUBLE_EQ(schedule_for({}, 256, 64).plateau_factor, 0.95 * 0.95);
  EXPECT_DOUBLE_EQ(schedule_for({.shape_influence = 0.5}, 64, 256).plateau_factor, (0.95 + 0.95 * 0.95) / 2);
  EXPECT_DOUBLE_EQ(schedule_for({.shape_influence = 0}, 64, 256).plateau_factor, 0.95);
}

TEST(Schedule, Warm_up_keeps_the_rate) {
  const std::vector<double> same(4, 1.0);
  expect_near(rates(square({.factor = 0.5, .warm_up = 2}), same), {1, 1, 0.5, 0.25});
  expect_near(rates(square({.schedule = LearningSchedule::exponential, .gamma = 0.5, .warm_up = 2}), same), {1, 1, 0.5, 0.25});
}

TEST(Schedule, Exponential_falls_whatever_the_loss_down_to_its_end) {
  const Schedule schedule =
      square({.schedule = LearningSchedule::exponential, .rate = 8, .gamma = 0.5, .smallest_rate = 1.5, .stop = {.rate = 1}});
  expect_near(rates(schedule, {3, 2, 1, 1}), {4, 2, 1.5, 1.5});
}

TEST(Schedule, Adaptive_has_tiers) {
  ScheduleOptions options = december_2025_schedule();
  options.rate = 1;
  const Schedule wide = schedule_for(options, 64, 65);
  // Improved: the count was set back, so the lowest boost.  Failed: 1st to 25th failure × 0.95, then × 0.97.
  expect_near(rates(wide, {3, 2, 2}), {1.25, 1.5625, 1.5625 * 0.95});
  std::vector<double> losses(28, 1.0);
  const std::vector<double> found = rates(wide, losses);
  EXPECT_NEAR(found[25], 1.25 * std::pow(0.95, 25), 1e-12);
  EXPECT_NEAR(found[27], 1.25 * std::pow(0.95, 25) * 0.97 * 0.97, 1e-12);
  // Square weights: × 0.95 each time.
  expect_near(rates(square(options), {3, 2, 2}), {1.25 * 0.95, 1.25 * 0.95 * 1.25 * 0.95, std::pow(1.25 * 0.95, 2) * 0.95 * 0.95});
}

TEST(Schedule, Adaptive_without_reset_boosts_by_the_failures_before) {
  ScheduleOptions options = december_2025_schedule();
  options.rate = 1;
  options.resets = false;
  std::vector<double> losses(51, 2.0);  // an improvement, 50 failures
  losses.push_back(1.0);
  const std::vector<double> found = rates(schedule_for(options, 64, 65), losses);
  EXPECT_NEAR(found[51] / found[50], 1.375, 1e-12);
  options.resets = true;
  const std::vector<double> resetting = rates(schedule_for(options, 64, 65), losses);
  EXPECT_NEAR(resetting[51] / resetting[50], 1.25, 1e-12);
}

TEST(Schedule, Adaptive_does_not_fall_below_the_floor_of_its_tier) {
  ScheduleOptions options = december_2025_schedule();
  options.rate = 9.2e-8;
  expect_near(rates(schedule_for(options, 64, 65), {1, 1, 1, 1, 1, 1, 1}),
              {1.15e-7, 1.0925e-7, 1.037875e-7, 9.8598125e-8, 9.366821875e-8, 9e-8, 9e-8});
}

TEST(Schedule, Cosine_boosts_by_the_failures_before_and_slows_at_intervals) {
  ScheduleOptions options{.schedule = LearningSchedule::cosine, .rate = 1, .factor = 0.9, .cooldown = 2, .stop = {.stall = 8}};
  // Wave after c failures of 8: c = 0: 1, 1: (1 + √½) / 2, 2: 1/2, 3: (1 - √½) / 2, 4: 0.
  const double root = std::sqrt(0.5);
  const double slow_2 = 0.9 + 0.095 * 0.5;
  // Loss 0 improves; losses 2 and 4 (failures 2 and 4) slow down, 1 and 3 are not multiples of 2; then boosts.
  expect_near(rates(square(options), {3, 3, 3, 3, 3, 2, 1}),
              {1, 1, slow_2, slow_2, slow_2 * 0.9, slow_2 * 0.9 * 1.25, slow_2 * 0.9 * 1.25});
  // Twice as wide as high: oblongness 1/2.
  options.cooldown = 1;
  const double lowest = 0.9 - 0.015;
  const double slow_1 = lowest + (0.995 - lowest) * (1 + root) / 2;
  expect_near(rates(schedule_for(options, 32, 64), {3, 3, 2}), {1, slow_1, slow_1 * (1 + 0.25 * 1.25 * (1 - (1 + root) / 2))});
}

TEST(Schedule, Improvements_must_exceed_the_threshold) {
  const auto best = [](const ScheduleOptions& options) { return after(square(options), {1.0, 0.95, 0.85}).best_loss; };
  EXPECT_EQ(best({}), 0.85);
  EXPECT_EQ(best({.threshold = 0.1}), 0.85);
  EXPECT_EQ(best({.threshold = 0.2}), 1.0);
  EXPECT_EQ(best({.threshold = 0.14, .threshold_mode = ThresholdMode::absolute}), 0.85);
  EXPECT_EQ(best({.threshold = 0.16, .threshold_mode = ThresholdMode::absolute}), 1.0);
  EXPECT_EQ(after(square({.threshold = 0.1}), {1.0, 0.95, 0.85}).best_iteration, 3U);
}

TEST(Schedule, Stops_by_the_present_or_the_best_loss) {
  const auto stop = [](StopRule rule, const std::vector<double>& losses) { return after(square({.stop = rule}), losses).stop; };
  EXPECT_EQ(stop({.loss = 1}, {2, 1}), StopReason::loss);
  EXPECT_EQ(stop({.loss = 1, .strict = true}, {2, 1}), StopReason::none);
  EXPECT_EQ(stop({.loss = 1, .strict = true}, {2, 0.5}), StopReason::loss);
  // With a threshold of improvement the present loss may be small and not count as the best.
  const ScheduleOptions best{.threshold = 0.9, .stop = {.loss = 1}};
  ScheduleOptions present = best;
  present.stop.judges_best = false;
  EXPECT_EQ(after(square(best), {2, 1}).stop, StopReason::none);
  EXPECT_EQ(after(square(present), {2, 1}).stop, StopReason::loss);
}

TEST(Schedule, Stops_behind_the_stall_and_for_NVFP4_at_it) {
  const ScheduleOptions options{.stop = {.stall = 3}};
  ScheduleOptions nvfp4 = options;
  nvfp4.stop.zero_disables = true;
  EXPECT_EQ(after(square(options), {1, 1, 1, 1}).stop, StopReason::none);
  EXPECT_EQ(after(square(options), {1, 1, 1, 1, 1}).stop, StopReason::stall);
  EXPECT_EQ(after(square(nvfp4), {1, 1, 1, 1}).stop, StopReason::stall);
  nvfp4.stop.stall = 0;
  nvfp4.stop.loss = 0;
  EXPECT_EQ(after(square(nvfp4), {1, 1, 1, 0}).stop, StopReason::none);
  EXPECT_EQ(after(square({.stop = {.loss = 0}}), {1, 0}).stop, StopReason::loss);
}

TEST(Schedule, Stops_after_the_last_iteration_and_stands_still) {
  const LoopState state = after(square({.iterations = 3}), {3, 2, 1, 0.5, 0.25});
  EXPECT_EQ(state.stop, StopReason::iterations);
  EXPECT_EQ(state.iterations, 3U);
  EXPECT_EQ(state.best_loss, 1.0);
  EXPECT_TRUE(state.improved);
}

TEST(Schedule, Stops_where_the_loss_is_no_number) {
  for (const double loss : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    const LoopState state = after(square({}), {2, loss});
    EXPECT_EQ(state.stop, StopReason::diverged);
    EXPECT_EQ(state.best_loss, 2.0);
    EXPECT_FALSE(state.improved);
  }
}

TEST(Schedule, Failures_are_kept_where_improvements_do_not_reset_them) {
  EXPECT_EQ(after(square({}), {3, 3, 2, 2}).failures, 1U);
  EXPECT_EQ(after(square({.resets = false}), {3, 3, 2, 2}).failures, 2U);
}

}  // namespace
}  // namespace halftone::learn
