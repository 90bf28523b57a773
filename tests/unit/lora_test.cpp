#include "learn/lora.hpp"

#include <cmath>
#include <random>

#include <gmock/gmock.h>

#include "cpu/cpu_backend.hpp"
#include "plan/lora.hpp"
#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::model_of;
using testing::ElementsAre;

constexpr std::uint64_t kRows = 96;
constexpr std::uint64_t kColumns = 160;

std::vector<float> gaussian(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

/// left · right.
std::vector<float> product(const std::vector<float>& left, const std::vector<float>& right, std::size_t inner) {
  const std::size_t rows = left.size() / inner;
  const std::size_t columns = right.size() / inner;
  std::vector<float> out(rows * columns);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < inner; ++k) {
      for (std::size_t c = 0; c < columns; ++c) out[r * columns + c] += left[r * inner + k] * right[k * columns + c];
    }
  }
  return out;
}

/// An error of rank 2: 3 in the first row and column, 1 in the second.
std::vector<float> two_directions() {
  std::vector<float> right(2 * kColumns);
  right[0] = 3;
  right[kColumns + 1] = 1;
  std::vector<float> left(kRows * 2);
  left[0] = 1;
  left[3] = 1;
  return product(left, right, 2);
}

double squared_norm(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

/// ‖errors + up · down‖² / ‖errors‖²: errors are value - weight, and the correction is added to the value.
double rest(const std::vector<float>& errors, const learn::LoraFit& fit) {
  std::vector<float> sum = product(fit.up, fit.down, fit.rank);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += errors[i];
  return squared_norm(sum) / squared_norm(errors);
}

class Lora : public testing::Test {
 protected:
  learn::LoraFit fit(const std::vector<float>& errors, const learn::LoraOptions& options, const std::vector<float>& second = {}) {
    learn::Memory memory(*engine_);
    learn::Moments moments;
    if (!second.empty()) moments = {.second = memory.matrix_of(second.data(), kColumns, kColumns), .count = 1'000'000};
    return learn::fit_lora(*engine_, memory.matrix_of(errors.data(), kRows, kColumns), moments, options);
  }

  std::unique_ptr<Backend> backend_ = cpu::make_backend();
  std::shared_ptr<learn::Engine> engine_ = backend_->make_engine(0);
};

TEST_F(Lora, Error_of_rank_2_is_captured_whole) {
  const std::vector<float> errors = product(gaussian(kRows * 2, 1), gaussian(2 * kColumns, 2), 2);
  for (const std::uint64_t rank : {2U, 7U, 96U}) {
    SCOPED_TRACE(rank);
    const learn::LoraFit found = fit(errors, {.rank = rank, .seed = 3});
    EXPECT_EQ(found.rank, rank);
    EXPECT_LT(rest(errors, found), 1e-6);
    EXPECT_NEAR(found.captured.value(), 1.0, 1e-6);
    EXPECT_FALSE(found.by_output);
  }
}

TEST_F(Lora, Correction_of_more_columns_than_the_error_has_directions_ends_with_zeros) {
  const std::vector<float> errors = product(gaussian(kRows * 2, 1), gaussian(2 * kColumns, 2), 2);
  for (const std::uint64_t rank : {8U, 96U}) {
    SCOPED_TRACE(rank);
    const learn::LoraFit found = fit(errors, {.rank = rank, .seed = 3});
    EXPECT_EQ(found.rank, rank);
    ASSERT_EQ(found.directions, 2U);
    for (std::size_t row = 0; row < kRows; ++row) {
      for (std::size_t k = 0; k < rank; ++k) ASSERT_EQ(found.up[row * rank + k] == 0.0F, k >= 2) << row << " " << k;
    }
    for (std::size_t i = 0; i < rank * kColumns; ++i) ASSERT_EQ(found.down[i] == 0.0F, i >= 2 * kColumns) << i;
  }
}

TEST_F(Lora, Half_of_an_error_of_rank_2_is_captured_by_its_larger_direction) {
  const std::vector<float> errors = two_directions();
  const learn::LoraFit found = fit(errors, {.rank = 1});
  EXPECT_NEAR(found.captured.value(), 0.9, 1e-5);
  EXPECT_NEAR(rest(errors, found), 0.1, 1e-5);
}

TEST_F(Lora, Direction_that_the_inputs_do_not_have_is_not_taken) {
  std::vector<float> second(kColumns * kColumns);
  for (std::size_t i = 0; i < kColumns; ++i) second[i * kColumns + i] = i == 0 ? 0.0F : 1.0F;
  const learn::LoraFit found = fit(two_directions(), {.rank = 1, .damping = 1e-4}, second);
  EXPECT_TRUE(found.by_output);
  EXPECT_NEAR(found.captured.value(), 1.0, 1e-4) << "the larger error is in a column that is always multiplied by 0";
  EXPECT_NEAR(found.up[1] * found.down[1], -1.0F, 1e-4F);
}

TEST_F(Lora, Rank_is_at_most_the_smaller_dimension) { EXPECT_EQ(fit(gaussian(kRows * kColumns, 4), {.rank = 1000}).rank, kRows); }

TEST_F(Lora, Without_an_error_there_is_nothing_to_capture) {
  const learn::LoraFit found = fit(std::vector<float>(kRows * kColumns), {.rank = 4});
  EXPECT_FALSE(found.captured);
  EXPECT_EQ(found.directions, 0U);
  EXPECT_EQ(squared_norm(found.up) + squared_norm(found.down), 0);
}

TEST_F(Lora, Correction_of_a_rotated_weight_is_one_of_the_weight_before) {
  const std::vector<float> errors = product(gaussian(kRows * 2, 1), gaussian(2 * kColumns, 2), 2);
  std::vector<float> rotated = errors;
  engine_->rotate(rotated.data(), rotated.size(), 16);
  EXPECT_LT(rest(errors, fit(rotated, {.rank = 2, .rotation_group = 16})), 1e-6);
}

TEST(LoraName, Has_the_prefix_of_diffusion_models_once) {
  EXPECT_EQ(plan::lora_name("blocks.0.q"), "diffusion_model.blocks.0.q");
  EXPECT_EQ(plan::lora_name("diffusion_model.blocks.0.q"), "diffusion_model.blocks.0.q");
  EXPECT_EQ(plan::lora_name("model.diffusion_model.blocks.0.q"), "diffusion_model.blocks.0.q");
  EXPECT_EQ(plan::lora_name("model.blocks.0.q"), "diffusion_model.model.blocks.0.q");
}

TEST(LoraPlan, Has_two_factors_for_each_quantized_layer_and_none_in_the_model) {
  PlanOptions options = test::options_for("fp8");
  options.exclude = {"^b"};
  options.lora_rank = 32;
  const Plan plan = build_plan(model_of({bf16("a.weight", {64, 128}), bf16("a.bias", {64}), bf16("b.weight", {64, 64})}), {}, options);
  ASSERT_TRUE(plan.lora);
  ASSERT_EQ(plan.lora->tensors.size(), 2U);
  EXPECT_EQ(plan.lora->tensors[0].name, "diffusion_model.a.lora_down.weight");
  EXPECT_THAT(plan.lora->tensors[0].shape, ElementsAre(32, 128));
  EXPECT_EQ(plan.lora->tensors[1].name, "diffusion_model.a.lora_up.weight");
  EXPECT_THAT(plan.lora->tensors[1].shape, ElementsAre(64, 32));
  EXPECT_EQ(test::output_of(plan, "diffusion_model.a.lora_up.weight"), nullptr);
  EXPECT_EQ(plan.lora_place(0).file, 1U);
}

TEST(LoraPlan, Where_nothing_is_quantized_there_is_none_and_a_note) {
  PlanOptions options = test::options_for("fp8");
  options.lora_rank = 32;
  const Plan plan = build_plan(model_of({bf16("a.bias", {64})}), {}, options);
  EXPECT_FALSE(plan.lora);
  EXPECT_THAT(plan.notes, testing::Contains(testing::HasSubstr("no LoRA is written")));
}

}  // namespace
}  // namespace halftone
