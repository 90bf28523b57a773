#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "cpu/learn/optimizer_steps.hpp"
#include "unit/prodigy_model.hpp"

namespace halftone::learn {
namespace {

constexpr double kRate = 0.5;
constexpr double kGamma = 0.97;

/// A loop whose gradients and losses come from outside: levels of INT8, one scale for each row, a weight of zeros.
/// Scales are powers of two, so that gradients are exact where losses are.
class Steps {
 public:
  Steps(std::uint64_t rows, std::uint64_t columns, Optimizer optimizer, OptimizerVariant options = {}, GradientRule rule = {})
      : random_(17),
        levels_(levels_of(format_named("int8-row"))),
        scales_(rows),
        groups_(columns),
        start_(rows * columns),
        weight_(rows * columns),
        gradient_(rows * columns),
        errors_(rows * columns),
        offsets_{std::vector<float>(rows * columns), std::vector<float>(rows * columns)},
        average_(rows * columns),
        first_(rows * columns),
        second_(rows * columns),
        row_moments_(rows),
        column_moments_(columns),
        decayed_(rows * columns),
        sampled_(rows * columns) {
    for (float& scale : scales_) scale = std::ldexp(1.0F, -5 - static_cast<int>(random_() % 3));
    for (std::uint8_t& level : start_) level = static_cast<std::uint8_t>(random_() % levels_.count);
    direction_.resize(weight_.size());
    for (float& value : direction_) value = normal();
    run_.optimizer = optimizer;
    run_.variant = options;
    run_.schedule =
        schedule_for({.schedule = LearningSchedule::exponential, .rate = kRate, .gamma = kGamma, .stop = {.loss = 0}}, rows, columns);
    run_.rule = rule;
    run_.weight = {weight_.data(), rows, columns, columns};
    run_.levels = start_.data();
    run_.grid = {&levels_, scales_.data(), 1, groups_.data()};
    run_.gradient = {gradient_.data(), rows, columns, columns};
    run_.errors = {errors_.data(), rows, columns, columns};
    for (std::size_t i = 0; i < start_.size(); ++i) {
      first_errors_.push_back(levels_.values[start_[i]] * scales_[i / columns]);
    }
    run_.first_errors = first_errors_.data();
    for (std::size_t slot = 0; slot < 2; ++slot) run_.offsets[slot] = offsets_[slot].data();
    if (options.schedule_free) run_.average = average_.data();
    run_.moments[0] = first_.data();
    run_.moments[1] = second_.data();
    run_.row_moments = row_moments_.data();
    run_.column_moments = column_moments_.data();
    run_.decayed_sums = decayed_.data();
    run_.sampled = sampled_.data();
    state_ = first_state(run_.schedule);
    run_.state = &state_;
    run_.scalars = scalars_.data();
  }

  /// One iteration with `loss` and a new gradient, which is gradient() from then on.
  void iterate(double loss) {
    for (std::size_t i = 0; i < gradient_.size(); ++i) gradient_[i] = static_cast<float>(loss) * (direction_[i] + 0.5F * normal());
    cpu::advance(run_, loss);
    value_gradient_.assign(gradient_.begin(), gradient_.end());
    for (double& value : value_gradient_) value /= loss;
    cpu::optimizer_step(run_);
  }

  [[nodiscard]] std::uint64_t rows() const { return run_.weight.rows; }
  [[nodiscard]] std::uint64_t columns() const { return run_.weight.columns; }
  [[nodiscard]] double scale(std::size_t i) const { return static_cast<double>(scales_[i / columns()]); }
  [[nodiscard]] double level(std::size_t i) const { return static_cast<double>(levels_.values[start_[i]]); }
  /// Of the loss, by the values, and by the codes.
  [[nodiscard]] const std::vector<double>& value_gradient() const { return value_gradient_; }
  [[nodiscard]] std::vector<double> code_gradient() const {
    std::vector<double> result = value_gradient_;
    for (std::size_t i = 0; i < result.size(); ++i) result[i] *= scale(i);
    return result;
  }
  /// Of the iterate that the last step has led to.
  [[nodiscard]] const std::vector<float>& offsets() const { return offsets_[state_.improved ? 1 - state_.slot : state_.slot]; }
  [[nodiscard]] const std::vector<float>& best() const { return run_.average != nullptr ? average_ : offsets_[state_.best_slot]; }
  [[nodiscard]] const std::vector<float>& errors() const { return errors_; }
  [[nodiscard]] const LoopState& state() const { return state_; }
  template <class O>
  [[nodiscard]] const typename O::Scalars& scalars() const {
    return *reinterpret_cast<const typename O::Scalars*>(scalars_.data());
  }

 private:
  float normal() { return std::normal_distribution(0.0F, 0.02F)(random_); }

  std::mt19937 random_;
  Levels levels_;
  std::vector<float> scales_;
  std::vector<std::uint32_t> groups_;
  std::vector<std::uint8_t> start_;
  std::vector<float> weight_, gradient_, errors_, offsets_[2], average_, first_errors_, first_, second_, row_moments_, column_moments_,
      decayed_, sampled_, direction_;
  std::vector<double> value_gradient_;
  alignas(std::max_align_t) std::array<std::byte, kScalarBytes> scalars_{};
  LoopState state_;
  OptimizerRun run_;
};

/// Where binary32 and a double model may part: some hundred roundings of steps, relative to the longest way.
void expect_close(const std::vector<float>& found, const std::vector<double>& expected, int step) {
  double longest = 0;
  for (const double value : expected) longest = std::max(longest, std::fabs(value));
  ASSERT_GT(longest, 0);
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(found[i]), expected[i], 2e-5 * longest) << "element " << i << " after step " << step;
  }
}

double previous_rate(int step) { return kRate * std::pow(kGamma, step - 1); }

TEST(Optimizers, Original_moves_along_its_preconditioned_gradient_with_the_new_rate) {
  const struct {
    GradientRule rule;
    std::function<double(double)> factor;
  } cases[] = {
      {{Preconditioner::inverse_scale}, [](double scale) { return 1 / scale; }},
      {{Preconditioner::constant, 40.0F}, [](double) { return 40; }},
      {{Preconditioner::none}, [](double) { return 1; }},
      {{Preconditioner::scale}, [](double scale) { return scale; }},
  };
  for (const auto& [rule, factor] : cases) {
    Steps steps(5, 7, Optimizer::original, {}, rule);
    std::vector<double> x(35);
    for (int step = 1; step <= 20; ++step) {
      steps.iterate(3.0 / step);
      for (std::size_t i = 0; i < x.size(); ++i) x[i] -= previous_rate(step) * kGamma * steps.value_gradient()[i] * factor(steps.scale(i));
      expect_close(steps.offsets(), x, step);
    }
  }
}

TEST(Optimizers, Original_keeps_codes_within_the_limit) {
  Steps steps(5, 7, Optimizer::original, {}, {Preconditioner::inverse_scale, 1.0F, 100.0F});
  for (int step = 1; step <= 50; ++step) steps.iterate(1.0);
  double largest = 0;
  for (std::size_t i = 0; i < 35; ++i) largest = std::max(largest, std::fabs(steps.level(i) + static_cast<double>(steps.offsets()[i])));
  EXPECT_NEAR(largest, 100.0, 1e-4);
}

TEST(Optimizers, Errors_are_those_of_the_new_iterate) {
  Steps steps(5, 7, Optimizer::adamw);
  steps.iterate(1.0);
  for (std::size_t i = 0; i < 35; ++i) {
    const double value = (steps.level(i) + static_cast<double>(steps.offsets()[i])) * steps.scale(i);
    EXPECT_NEAR(static_cast<double>(steps.errors()[i]), value, 1e-6 * std::fabs(value)) << i;
  }
}

TEST(Optimizers, Best_iterate_is_the_one_whose_loss_was_the_best) {
  for (const Optimizer optimizer : {Optimizer::original, Optimizer::adamw, Optimizer::radam, Optimizer::prodigy}) {
    Steps steps(5, 7, optimizer);
    steps.iterate(3.0);
    EXPECT_EQ(steps.best(), std::vector<float>(35));
    const std::vector<float> second = steps.offsets();
    steps.iterate(2.0);
    steps.iterate(2.5);
    EXPECT_EQ(steps.best(), second);
    EXPECT_EQ(steps.state().best_iteration, 2U);
  }
}

TEST(Optimizers, Only_prodigy_has_variants_and_keeps_more_than_matrices) {
  for (const Optimizer optimizer : {Optimizer::original, Optimizer::adamw, Optimizer::radam, Optimizer::prodigy}) {
    EXPECT_EQ(has_variants(optimizer), optimizer == Optimizer::prodigy);
    EXPECT_EQ(sampled_elements(optimizer, 23), optimizer == Optimizer::prodigy ? 3U : 0U);  // of 11 elements one
  }
  EXPECT_EQ(matrices_of_moments(Optimizer::original, 64, 64), 0);
  EXPECT_EQ(matrices_of_moments(Optimizer::adamw, 64, 64), 2);
  EXPECT_EQ(matrices_of_moments(Optimizer::prodigy, 64, 64), 1);
  EXPECT_EQ(matrices_of_moments(Optimizer::prodigy, 31, 31), 2);
}

TEST(Optimizers, AdamW_is_that_of_a_double_model) {
  Steps steps(5, 7, Optimizer::adamw);
  std::vector<double> x(35), m(35), v(35);
  for (int step = 1; step <= 60; ++step) {
    steps.iterate(3.0 / step);
    const std::vector<double> g = steps.code_gradient();
    const double rate = previous_rate(step);
    for (std::size_t i = 0; i < x.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      x[i] -= rate * 0.01 * x[i];
      x[i] -= rate * (m[i] / (1 - std::pow(0.9, step))) / (std::sqrt(v[i] / (1 - std::pow(0.999, step))) + 1e-8);
    }
    expect_close(steps.offsets(), x, step);
  }
}

TEST(Optimizers, RAdam_is_that_of_a_double_model) {
  Steps steps(5, 7, Optimizer::radam);
  std::vector<double> x(35), m(35), v(35);
  for (int step = 1; step <= 60; ++step) {
    steps.iterate(3.0 / step);
    const std::vector<double> g = steps.code_gradient();
    const double power = std::pow(0.999, step);
    const double length = 1999 - 2 * step * power / (1 - power);
    EXPECT_EQ(length > 5, step >= 6);
    const double r = std::sqrt((length - 4) * (length - 2) * 1999 / (1995.0 * 1997 * length));
    for (std::size_t i = 0; i < x.size(); ++i) {
      m[i] = 0.9 * m[i] + 0.1 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      const double corrected = m[i] / (1 - std::pow(0.9, step));
      x[i] -= previous_rate(step) * corrected * (step >= 6 ? r * std::sqrt(1 - power) / (std::sqrt(v[i]) + 1e-8) : 1.0);
    }
    expect_close(steps.offsets(), x, step);
  }
}

struct Shape {
  std::uint64_t rows, columns;
};

class ProdigyTrajectory : public testing::TestWithParam<Shape> {
 protected:
  void follow(const OptimizerVariant& options) {
    Steps steps(GetParam().rows, GetParam().columns, Optimizer::prodigy, options);
    test::ProdigyModel model(GetParam().rows, GetParam().columns, options.schedule_free, options.speed);
    int apart = 0;
    for (int step = 1; step <= 120; ++step) {
      steps.iterate(std::ldexp(1.0, -step / 4));
      model.step(steps.code_gradient(), previous_rate(step));
      expect_close(steps.offsets(), model.position(), step);
      // Sums in bfloat16 that lie next to a midpoint may be rounded either way, which moves d by an ulp of theirs.  That
      // is rare; the model goes on with the d of the loop, or the next d would be further apart.
      const double d = steps.scalars<Prodigy>().next_d;
      const double difference = std::fabs(d / model.step_size() - 1);
      ASSERT_LE(difference, options.speed ? 1e-5 : 0x1p-7) << "d after step " << step;
      apart += difference > 1e-5 ? 1 : 0;
      model.set_step_size(d);
    }
    EXPECT_LE(apart, 12);
    EXPECT_GT(model.step_size(), 1e-3) << "d has not grown, so that its rule was not seen at work";
  }
};

TEST_P(ProdigyTrajectory, Is_that_of_a_double_model) { follow({}); }
TEST_P(ProdigyTrajectory, With_speed_is_that_of_a_double_model) { follow({.speed = true}); }
TEST_P(ProdigyTrajectory, Schedule_free_is_that_of_a_double_model) { follow({.schedule_free = true}); }

// Wide, square and tall ones, whose second moments are factored, and one that is too small for that.
INSTANTIATE_TEST_SUITE_P(Shapes, ProdigyTrajectory, testing::Values(Shape{9, 40}, Shape{33, 33}, Shape{40, 9}, Shape{12, 31}),
                         [](const auto& shape) { return std::to_string(shape.param.rows) + "x" + std::to_string(shape.param.columns); });

TEST(Optimizers, Schedule_free_keeps_the_average) {
  Steps steps(9, 40, Optimizer::prodigy, {.schedule_free = true});
  test::ProdigyModel model(9, 40, true, false);
  std::vector<double> average;
  for (int step = 1; step <= 40; ++step) {
    average = model.average();
    steps.iterate(3.0 / step);
    model.step(steps.code_gradient(), previous_rate(step));
  }
  expect_close(steps.best(), average, 40);
}

}  // namespace
}  // namespace halftone::learn
