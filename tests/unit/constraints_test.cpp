#include "plan/constraints.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone::plan {
namespace {

using test::bf16;
using test::fails_with;
using test::options_for;
using testing::HasSubstr;

// Shapes at the edges of each threshold of the December 2025 rule; blocks of 64.
TEST(HeuristicReason, Size_rule_skips_what_cannot_gain) {
  const auto reason = [](std::uint64_t rows, std::uint64_t columns) { return heuristic_reason(Heuristic::size, {rows, columns}, 64); };
  EXPECT_THAT(reason(4096, 4000), HasSubstr("whole blocks of 64"));
  EXPECT_THAT(reason(32, 4096), HasSubstr("whole blocks of 64"));
  EXPECT_THAT(reason(20544, 5056), HasSubstr("oblong"));               // aspect just above 4, short side below 5120
  EXPECT_EQ(reason(20224, 5056), "");                                  // aspect of exactly 4
  EXPECT_EQ(reason(25600, 5120), "");                                  // aspect 5, short side of 5120
  EXPECT_THAT(reason(3840, 3904), HasSubstr("small"));                 // 14,991,360 elements, nearly square
  EXPECT_EQ(reason(3840, 4096), "");                                   // 15,728,640 elements
  EXPECT_EQ(reason(4096, 2048), "");                                   // few elements, but an aspect of exactly 2
  EXPECT_THAT(reason(3968, 1920), HasSubstr("no dimension of 4096"));  // few elements, aspect above 2, longest side below 4096
  EXPECT_THAT(reason(4032, 4032), HasSubstr("no dimension of 4096"));  // enough elements, longest side below 4096
}

TEST(HeuristicReason, Divisible_rule_asks_for_whole_blocks_only) {
  const auto reason = [](std::uint64_t rows, std::uint64_t columns) { return heuristic_reason(Heuristic::divisible, {rows, columns}, 64); };
  EXPECT_EQ(reason(64, 64), "");
  EXPECT_EQ(reason(64, 640'000), "");
  EXPECT_THAT(reason(64, 100), HasSubstr("[64, 100]"));
  EXPECT_THAT(reason(63, 64), HasSubstr("whole blocks"));
}

TEST(HeuristicReason, None_skips_nothing) { EXPECT_EQ(heuristic_reason(Heuristic::none, {1, 7}, 64), ""); }

Decision decide_one(const TensorInfo& tensor, const PlanOptions& options) {
  const Plan plan = build_plan(test::model_of({tensor}), {}, options);
  return plan.decisions.at(0);
}

TEST(Constraints, Heuristic_keeps_with_its_reason) {
  PlanOptions options = options_for("fp8");
  options.heuristic = Heuristic::size;
  const Decision decision = decide_one(bf16("a.weight", {1024, 1024}), options);
  EXPECT_EQ(decision.action, Action::keep);
  EXPECT_EQ(decision.rule, "--heur");
  EXPECT_THAT(decision.reason, HasSubstr("small"));
}

TEST(Constraints, Heuristic_measures_with_the_chosen_block_size) {
  PlanOptions options = options_for("fp8-block");
  options.heuristic = Heuristic::divisible;
  EXPECT_EQ(decide_one(bf16("a.weight", {64, 192}), options).action, Action::quantize);
  options.spec.block_size = 128;
  EXPECT_EQ(decide_one(bf16("a.weight", {64, 192}), options).action, Action::keep);
}

TEST(Constraints, Indivisible_layer_is_an_error_that_names_the_ways_out) {
  EXPECT_THAT(
      [] {
        (void)decide_one(bf16("a.weight", {130, 64}), options_for("fp8-block"));
      },
      fails_with(ErrorKind::indivisible, "'a.weight'", "[130, 64]", "fp8-block", "130 rows", "--indivisible keep", "--indivisible plain",
                 "rule"));
}

TEST(Constraints, Indivisible_layer_may_be_kept) {
  PlanOptions options = options_for("int8-block");
  options.indivisible = Indivisible::keep;
  const Decision decision = decide_one(bf16("a.weight", {128, 100}), options);
  EXPECT_EQ(decision.action, Action::keep);
  EXPECT_THAT(decision.reason, HasSubstr("100 columns"));
}

TEST(Constraints, Indivisible_layer_may_take_row_scales) {
  for (const auto& [blocks, plain] : {std::pair{"fp8-block", "fp8-row"}, {"int8-block", "int8-row"}}) {
    PlanOptions options = options_for(blocks);
    options.indivisible = Indivisible::plain;
    const Decision decision = decide_one(bf16("a.weight", {130, 100}), options);
    EXPECT_EQ(decision.action, Action::quantize);
    EXPECT_EQ(decision.spec.format->name(), plain);
    EXPECT_EQ(decision.spec.block_size, 0U);
    EXPECT_THAT(decision.reason, HasSubstr(plain));
  }
}

TEST(Constraints, Plain_form_keeps_the_other_options) {
  PlanOptions options = options_for("fp8-block");
  options.indivisible = Indivisible::plain;
  options.spec.input_scale = options.spec.full_precision_mm = true;
  const Decision decision = decide_one(bf16("a.weight", {130, 100}), options);
  EXPECT_TRUE(decision.spec.input_scale);
  EXPECT_TRUE(decision.spec.full_precision_mm);
}

/// Options that recognise the model, for the adjustments that `--target comfyui` makes.
PlanOptions automatic(const char* format) {
  PlanOptions options = options_for(format);
  options.presets = {"auto"};
  return options;
}

TEST(Constraints, Comfyui_keeps_layers_its_product_cannot_run) {
  const Decision decision = decide_one(bf16("blocks.0.fc.weight", {130, 80}), automatic("fp8"));
  EXPECT_EQ(decision.action, Action::keep);
  EXPECT_EQ(decision.rule, "--target comfyui");
  EXPECT_THAT(decision.reason, HasSubstr("not divisible by 16"));
  EXPECT_EQ(decide_one(bf16("blocks.0.fc.weight", {144, 80}), automatic("fp8")).action, Action::quantize);
}

TEST(Constraints, Comfyui_runs_any_shape_in_full_precision) {
  PlanOptions options = automatic("fp8");
  options.spec.full_precision_mm = true;
  EXPECT_EQ(decide_one(bf16("blocks.0.fc.weight", {130, 80}), options).action, Action::quantize);
}

TEST(Constraints, Comfyui_runs_int8_of_any_shape) {
  EXPECT_EQ(decide_one(bf16("blocks.0.fc.weight", {130, 80}), automatic("int8-row")).action, Action::quantize);
}

TEST(Constraints, Without_a_target_or_preset_nothing_is_adjusted) {
  PlanOptions no_target = automatic("fp8");
  no_target.target = Target::none;
  EXPECT_EQ(decide_one(bf16("blocks.0.fc.weight", {130, 80}), no_target).action, Action::quantize);
  EXPECT_EQ(decide_one(bf16("blocks.0.fc.weight", {130, 80}), options_for("fp8")).action, Action::quantize);
}

TEST(Constraints, Layer_without_elements_is_kept) {
  EXPECT_EQ(decide_one(bf16("a.weight", {0, 64}), options_for("fp8-block")).rule, "empty");
}

TEST(Constraints, Integers_are_kept) {
  const Decision decision = decide_one({"a.weight", Dtype::I32, {64, 64}}, options_for("fp8"));
  EXPECT_EQ(decision.action, Action::keep);
  EXPECT_THAT(decision.reason, HasSubstr("I32"));
}

TEST(Constraints, Layer_that_is_quantized_already_is_quantized_anew_or_kept) {
  const TensorInfo cast{"a.weight", Dtype::F8_E4M3, {64, 64}};
  const Decision anew = decide_one(cast, options_for("int8"));
  EXPECT_EQ(anew.action, Action::quantize);
  EXPECT_THAT(anew.reason, HasSubstr("stored as fp8-cast"));
  const Decision same = decide_one(cast, options_for("fp8-cast"));
  EXPECT_EQ(same.action, Action::keep);
  EXPECT_THAT(same.reason, HasSubstr("in this format already"));
}

}  // namespace
}  // namespace halftone::plan
