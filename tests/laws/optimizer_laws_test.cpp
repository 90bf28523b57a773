// Learned rounding by optimizers gives the same on every backend's engine, but for the order of sums.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "laws/law_case.hpp"
#include "learn/optimize.hpp"
#include "support/learn_problem.hpp"

namespace halftone::test {
namespace {

constexpr std::uint64_t kRows = 96;
constexpr std::uint64_t kColumns = 160;

struct OptimizerCase {
  NamedBackend backend;
  const char* format;
  OptimizerSettings settings;
  std::string name;
};

std::vector<OptimizerCase> optimizer_cases() {
  std::vector<OptimizerCase> cases;
  const std::pair<const char*, OptimizerSettings> settings[] = {
      {"original", {.optimizer = Optimizer::original}},
      {"adamw", {.optimizer = Optimizer::adamw}},
      {"radam", {.optimizer = Optimizer::radam}},
      {"prodigy", {.optimizer = Optimizer::prodigy}},
      {"prodigy_speed", {.optimizer = Optimizer::prodigy, .variant = {.speed = true}}},
      {"prodigy_schedule_free", {.optimizer = Optimizer::prodigy, .variant = {.schedule_free = true}}},
  };
  bool has_cpu = false;
  for (const NamedBackend& backend : all_backends()) {
    // The engine of a CPU is the same for all instruction sets.
    const bool is_cpu = backend.name.starts_with("cpu");
    if (is_cpu && has_cpu) continue;
    has_cpu = has_cpu || is_cpu;
    for (const char* format : {"fp8", "int8-row", "nvfp4"}) {
      for (const auto& [name, setting] : settings) {
        cases.push_back({backend, format, setting, identifier(backend.name + "_" + format + "_" + name)});
      }
    }
  }
  return cases;
}

class OptimizerLaw : public ::testing::TestWithParam<OptimizerCase> {
 protected:
  struct Result {
    learn::OptimizeResult report;
    std::vector<std::uint8_t> levels;
  };

  [[nodiscard]] Result optimize(const Backend& backend, const std::vector<float>& weight, std::uint64_t columns, std::uint32_t iterations,
                                bool with_basis, bool full_precision = true) const {
    const FormatDescriptor& format = format_named(GetParam().format);
    const HostProblem problem = plain_problem(format, weight, columns);
    const std::shared_ptr<learn::Engine> engine = backend.make_engine(0);
    learn::Memory memory(*engine);
    const learn::Layer layer = problem.layer(*engine, memory);
    const std::uint64_t rank = std::min(layer.rows(), columns) / 4;
    const auto basis = leading_basis(*engine, memory, layer.weight, rank, learn::BasisMethod::exact, 0, 0);
    learn::OptimizeOptions options{.settings = GetParam().settings, .full_precision = full_precision};
    options.settings.schedule.iterations = iterations;
    options.settings.schedule.stop.loss = 0;  // whether rounding lets a loss reach it is no law
    options = conventions(options, format, largest_scale(*engine, layer));
    Result result;
    auto* levels = memory.array<std::uint8_t>(layer.elements());
    result.report = learn::optimize(*engine, layer, with_basis ? &basis : nullptr, options, levels);
    result.levels.resize(layer.elements());
    engine->download(levels, result.levels.data(), result.levels.size());
    return result;
  }

  const std::shared_ptr<const Backend> baseline_ = cpu::make_backend(*cpu::usable_kernels().back());
};

/// The first iterations go the same way.  What they lose to the order of sums grows with each, Prodigy's step size, which
/// rests on sums in bfloat16, most of all.
TEST_P(OptimizerLaw, First_iterations_go_the_same_way) {
  const std::vector<float> weight = gaussian_weight(kRows * kColumns, 3);
  for (const bool with_basis : {true, false}) {
    const auto expected = optimize(*baseline_, weight, kColumns, 60, with_basis).report.state;
    const auto found = optimize(*GetParam().backend.backend, weight, kColumns, 60, with_basis).report.state;
    EXPECT_NEAR(found.first_loss, expected.first_loss, 1e-5 * expected.first_loss);
    EXPECT_NEAR(found.loss, expected.loss, 1e-2 * expected.first_loss);
    EXPECT_EQ(found.iterations, expected.iterations);
  }
}

TEST_P(OptimizerLaw, Codes_are_nearly_the_same_in_the_end) {
  const std::vector<float> weight = gaussian_weight(kRows * kColumns, 3);
  const Result expected = optimize(*baseline_, weight, kColumns, 4000, true);
  const Result found = optimize(*GetParam().backend.backend, weight, kColumns, 4000, true);
  const learn::Outcome& a = expected.report.outcome;
  const learn::Outcome& b = found.report.outcome;
  EXPECT_EQ(b.stop_reason, a.stop_reason);
  EXPECT_NEAR(b.loss / b.nearest_loss, a.loss / a.nearest_loss, 1e-2);
  EXPECT_NEAR(b.squared_error / b.nearest_squared_error, a.squared_error / a.nearest_squared_error, 1e-2);
}

/// Factors of 11 bits: an element of U' E V is wrong by 2^-12 of what the errors would make of it without a basis, at most.
/// The loss of the start, which is a norm over all of them, is no further off.
TEST_P(OptimizerLaw, Factors_of_eleven_bits_go_the_same_way) {
  const std::vector<float> weight = gaussian_weight(kRows * kColumns, 3);
  const auto expected = optimize(*baseline_, weight, kColumns, 60, true).report.state;
  const auto found = optimize(*GetParam().backend.backend, weight, kColumns, 60, true, false).report.state;
  EXPECT_NEAR(found.first_loss, expected.first_loss, 0x1p-11 * expected.first_loss);
  EXPECT_NEAR(found.loss, expected.loss, 1e-2 * expected.first_loss);
  EXPECT_EQ(found.iterations, expected.iterations);
}

TEST_P(OptimizerLaw, Factors_of_eleven_bits_give_nearly_the_same_codes) {
  const std::vector<float> weight = gaussian_weight(kRows * kColumns, 3);
  const learn::Outcome a = optimize(*baseline_, weight, kColumns, 4000, true).report.outcome;
  const learn::Outcome b = optimize(*GetParam().backend.backend, weight, kColumns, 4000, true, false).report.outcome;
  EXPECT_NEAR(b.loss / b.nearest_loss, a.loss / a.nearest_loss, 1e-2);
  EXPECT_NEAR(b.squared_error / b.nearest_squared_error, a.squared_error / a.nearest_squared_error, 1e-2);
}

TEST_P(OptimizerLaw, Same_calls_give_the_same_codes) {
  const std::vector<float> weight = gaussian_weight(kRows * kColumns, 4);
  for (const bool full_precision : {true, false}) {
    const Result once = optimize(*GetParam().backend.backend, weight, kColumns, 200, true, full_precision);
    const Result again = optimize(*GetParam().backend.backend, weight, kColumns, 200, true, full_precision);
    EXPECT_EQ(once.levels, again.levels);
    EXPECT_EQ(once.report.state.loss, again.report.state.loss);
  }
}

// Rows and columns that are no multiples of 8, which kernels read one by one.
TEST_P(OptimizerLaw, Odd_shapes_go_the_same_way) {
  constexpr std::uint64_t odd_rows = 37;
  const std::uint64_t columns = std::string_view(GetParam().format) == "nvfp4" ? 48 : 51;
  const std::vector<float> weight = gaussian_weight(odd_rows * columns, 6);
  const auto expected = optimize(*baseline_, weight, columns, 60, true).report.state;
  const auto found = optimize(*GetParam().backend.backend, weight, columns, 60, true).report.state;
  EXPECT_NEAR(found.loss, expected.loss, 1e-2 * expected.first_loss);
}

// Second moments are not factored then.
TEST_P(OptimizerLaw, Small_weights_go_the_same_way) {
  const std::vector<float> weight = gaussian_weight(16 * 16, 5);
  const auto expected = optimize(*baseline_, weight, 16, 60, true).report.state;
  const auto found = optimize(*GetParam().backend.backend, weight, 16, 60, true).report.state;
  EXPECT_NEAR(found.loss, expected.loss, 1e-2 * expected.first_loss);
}

INSTANTIATE_TEST_SUITE_P(All, OptimizerLaw, ::testing::ValuesIn(optimizer_cases()),
                         [](const ::testing::TestParamInfo<OptimizerCase>& law) { return law.param.name; });

}  // namespace
}  // namespace halftone::test
