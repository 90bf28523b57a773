#include "learn/optimize.hpp"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "learn/project.hpp"
#include "support/learn_problem.hpp"

namespace halftone::learn {
namespace {

const auto kBackend = cpu::make_backend();

constexpr std::uint64_t kSide = 256;
constexpr std::uint64_t kRank = 64;

/// A Gaussian weight in a format, its basis, and what solvers make of it.
class Case {
 private:
  /// Calls solve(levels) and keeps the levels.
  template <class Solve>
  auto read(const Solve& solve) {
    Memory memory(*engine_);
    auto* levels = memory.array<std::uint8_t>(layer_.elements());
    auto result = solve(levels);
    levels_.resize(layer_.elements());
    engine_->download(levels, levels_.data(), levels_.size());
    return result;
  }

 public:
  explicit Case(const char* format, std::uint64_t rows = kSide, std::uint64_t columns = kSide, std::uint64_t rank = kRank)
      : format_(format_named(format)),
        weight_(test::gaussian_weight(rows * columns, 3)),
        problem_(test::plain_problem(format_, weight_, columns)),
        engine_(kBackend->make_engine(0)),
        memory_(*engine_),
        layer_(problem_.layer(*engine_, memory_)),
        basis_(leading_basis(*engine_, memory_, layer_.weight, rank, BasisMethod::exact, 0, 0)) {}

  OptimizeResult optimize(Optimizer optimizer, const ScheduleOptions& schedule = {}, bool with_basis = true) {
    OptimizeOptions options{.settings = {.optimizer = optimizer, .schedule = schedule}};
    return optimize(options, with_basis);
  }
  OptimizeResult optimize(const OptimizeOptions& options, bool with_basis = true) {
    return read([&](std::uint8_t* levels) {
      return learn::optimize(*engine_, layer_, with_basis ? &basis_ : nullptr,
                             conventions(options, format_, largest_scale(*engine_, layer_)), levels);
    });
  }
  Outcome closed_form() {
    return read([&](std::uint8_t* levels) { return learn::closed_form(*engine_, layer_, basis_, levels); });
  }
  /// The part of the codes that differ from `levels`.
  [[nodiscard]] double changed_from(const std::vector<std::uint8_t>& levels) const {
    double changed = 0;
    for (std::size_t i = 0; i < levels.size(); ++i) changed += levels[i] == levels_[i] ? 0 : 1;
    return changed / static_cast<double>(levels.size());
  }
  [[nodiscard]] const std::vector<std::uint8_t>& levels() const { return levels_; }
  [[nodiscard]] const test::HostProblem& problem() const { return problem_; }

 private:
  const FormatDescriptor& format_;
  std::vector<float> weight_;
  test::HostProblem problem_;
  std::shared_ptr<Engine> engine_;
  Memory memory_;
  Layer layer_;
  Basis basis_;
  std::vector<std::uint8_t> levels_;
};

double ratio(const Outcome& outcome) { return outcome.loss / outcome.nearest_loss; }
double error_ratio(const Outcome& outcome) { return outcome.squared_error / outcome.nearest_squared_error; }

TEST(Optimize, Original_takes_the_rate_off_the_loss_in_each_iteration) {
  for (const char* format : {"fp8", "fp8-row", "int8", "mxfp8"}) {
    Case layer(format, 64, 64, 16);
    const double first = layer.optimize(Optimizer::original, {.iterations = 1}).state.loss;
    const double rate = first / 7.3;
    double expected = first;
    for (std::uint32_t n = 2; n <= 12; ++n) {
      expected = std::fabs(expected - rate);
      const ScheduleOptions constant{.schedule = LearningSchedule::exponential, .iterations = n, .rate = rate, .gamma = 1.0};
      // Codes of up to 448 units in binary32 lose 2^-16 units in each iteration.
      EXPECT_NEAR(layer.optimize(Optimizer::original, constant).state.loss, expected, 1e-4 * first) << format << " " << n;
    }
  }
}

TEST(Optimize, Original_ends_at_the_closed_form) {
  for (const char* format : {"fp8", "fp8-row", "int8", "mxfp8"}) {
    Case layer(format);
    const Outcome closed = layer.closed_form();
    const std::vector<std::uint8_t> expected = layer.levels();
    const OptimizeResult result = layer.optimize(Optimizer::original);
    EXPECT_LT(result.state.best_loss, 2e-6 * result.state.first_loss) << format;
    EXPECT_LT(layer.changed_from(expected), 1e-4) << format;
    EXPECT_NEAR(ratio(result.outcome), ratio(closed), 2e-4) << format;
  }
}

TEST(Optimize, FP8_follows_with_its_small_weights_only) {
  Case layer("fp8");
  for (const Optimizer optimizer : {Optimizer::original, Optimizer::prodigy}) {
    const Outcome outcome = layer.optimize(optimizer).outcome;
    EXPECT_NEAR(ratio(outcome), 0.79, 0.03);
    EXPECT_NEAR(error_ratio(outcome), 1.018, 0.01);
    EXPECT_NEAR(layer.changed_from(layer.problem().start), 0.095, 0.02);
  }
}

TEST(Optimize, INT8_rows_come_back_unchanged) {
  Case layer("int8-row");
  for (const Optimizer optimizer : {Optimizer::original, Optimizer::radam, Optimizer::prodigy}) {
    const OptimizeResult result = layer.optimize(optimizer);
    EXPECT_EQ(layer.levels(), layer.problem().start);
    EXPECT_EQ(result.outcome.loss, result.outcome.nearest_loss);
    EXPECT_LT(result.state.best_loss, 1e-4 * result.state.first_loss);
  }
}

TEST(Optimize, NVFP4_hardly_changes) {
  Case layer("nvfp4");
  const OptimizeResult result = layer.optimize(Optimizer::original);
  EXPECT_NEAR(ratio(result.outcome), 0.99, 0.01);
  EXPECT_LT(layer.changed_from(layer.problem().start), 0.003);
  EXPECT_LT(result.state.best_loss, 1e-2 * result.state.first_loss);
}

TEST(Optimize, Without_a_basis_the_weight_itself_is_found) {
  Case layer("fp8");
  const OptimizeResult result = layer.optimize(Optimizer::original, {}, false);
  EXPECT_LT(result.state.best_loss, 1e-5 * result.state.first_loss);
  // Rounding the weight anew moves only what lies next to the midpoint of two codes.
  EXPECT_LT(layer.changed_from(layer.problem().start), 1e-3);
  EXPECT_NEAR(error_ratio(result.outcome), 1.0, 1e-3);
}

TEST(Optimize, Says_why_it_stopped) {
  Case layer("fp8", 64, 64, 16);
  EXPECT_EQ(layer.optimize(Optimizer::original).state.stop, StopReason::loss);
  EXPECT_EQ(layer.optimize(Optimizer::original, {.stop = {.loss = 0}}).state.stop, StopReason::rate);
  EXPECT_EQ(layer.optimize(Optimizer::original, {.iterations = 20}).outcome.stop_reason, "all iterations are done");
  EXPECT_EQ(layer.optimize(Optimizer::original, {.iterations = 20}).outcome.iterations, 20);
  EXPECT_EQ(layer.optimize(Optimizer::original, {.stop = {.loss = 1e3}}).state.stop, StopReason::loss);
}

TEST(Optimize, Is_interrupted_by_what_the_check_throws) {
  Case layer("fp8", 64, 64, 16);
  OptimizeOptions options;
  options.check = [] { throw std::runtime_error("stop"); };
  EXPECT_THROW(layer.optimize(options), std::runtime_error);
}

TEST(Optimize, Group_of_zeros_stays_zero) {
  std::vector<float> weight = test::gaussian_weight(64 * 64, 5);
  std::fill_n(weight.begin(), 64, 0.0F);
  const FormatDescriptor& format = format_named("nvfp4");
  const test::HostProblem problem = test::plain_problem(format, weight, 64);
  const auto engine = kBackend->make_engine(0);
  Memory memory(*engine);
  const Layer layer = problem.layer(*engine, memory);
  const Basis basis = leading_basis(*engine, memory, layer.weight, 16, BasisMethod::exact, 0, 0);
  for (const Optimizer optimizer : {Optimizer::original, Optimizer::adamw, Optimizer::radam, Optimizer::prodigy}) {
    auto* levels = memory.array<std::uint8_t>(weight.size());  // which the host sees, too
    const OptimizeResult result =
        optimize(*engine, layer, &basis, conventions({.settings = {.optimizer = optimizer}}, format, 1.0F), levels);
    EXPECT_NE(result.state.stop, StopReason::diverged);
    for (std::size_t i = 0; i < 64; ++i) EXPECT_EQ(problem.levels.values[levels[i]], 0.0F);
  }
}

TEST(Optimize, Conventions_are_those_of_the_reference) {
  const auto of = [](Optimizer optimizer, const char* format) {
    return conventions({.settings = {.optimizer = optimizer}}, format_named(format), 0.5F);
  };
  EXPECT_EQ(of(Optimizer::original, "fp8").rule.preconditioner, Preconditioner::inverse_scale);
  EXPECT_EQ(of(Optimizer::original, "int8").rule.preconditioner, Preconditioner::inverse_scale);
  EXPECT_EQ(of(Optimizer::original, "mxfp8").rule.preconditioner, Preconditioner::inverse_scale);
  EXPECT_EQ(of(Optimizer::original, "int8-row").rule.preconditioner, Preconditioner::constant);
  EXPECT_EQ(of(Optimizer::original, "int8-block").rule.constant, 2.0F);
  EXPECT_EQ(of(Optimizer::original, "nvfp4").rule.preconditioner, Preconditioner::none);
  EXPECT_EQ(of(Optimizer::original, "nvfp4").rule.limit, 6.0F);
  EXPECT_TRUE(of(Optimizer::original, "nvfp4").settings.schedule.stop.zero_disables);
  EXPECT_FALSE(of(Optimizer::original, "fp8").settings.schedule.stop.judges_best);
  EXPECT_TRUE(of(Optimizer::adamw, "fp8").settings.schedule.stop.judges_best);
  EXPECT_EQ(of(Optimizer::prodigy, "fp8").settings.schedule.warm_up, 50U);
  EXPECT_EQ(of(Optimizer::prodigy, "nvfp4").settings.schedule.warm_up, 0U);
  EXPECT_EQ(of(Optimizer::adamw, "fp8").settings.schedule.warm_up, 0U);
  EXPECT_EQ(of(Optimizer::adamw, "int8-row").settings.schedule.shape_influence, 0.0);
  EXPECT_EQ(of(Optimizer::original, "int8-row").settings.schedule.shape_influence, 1.0);
}

}  // namespace
}  // namespace halftone::learn
