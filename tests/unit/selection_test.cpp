#include "plan/selection.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone::plan {
namespace {

using test::bf16;
using test::decision_for;
using test::fails_with;
using test::model_of;
using test::options_for;
using testing::HasSubstr;

/// Two blocks of two layers, a bias, a table and a one-dimensional weight.
const std::vector<TensorInfo> kModel = {
    bf16("blocks.0.attn.weight", {64, 64}), bf16("blocks.0.fc.weight", {64, 64}), bf16("blocks.1.attn.weight", {64, 64}),
    bf16("blocks.1.fc.weight", {64, 64}),   bf16("blocks.0.fc.bias", {64}),       bf16("norm.weight", {64}),
    bf16("scale_shift_table", {2, 64}),     bf16("conv.weight", {8, 8, 3, 3}),    {"ids", Dtype::I64, {4}},
};

Plan plan_with(const PlanOptions& options) { return build_plan(model_of(kModel), {}, options); }

/// Options with `rules`, a comma-separated list of JSON objects.
PlanOptions with_rules(const std::string& rules, const char* format = "fp8") {
  PlanOptions options = options_for(format);
  options.rules = parse_rules(R"({"rules":[)" + rules + "]}", "r.json");
  return options;
}

/// "keep", "drop", "cast", "quantize" of each tensor named.
std::string actions(const Plan& plan, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ' ';
    text += name_of(decision_for(plan, name).action);
  }
  return text;
}

const std::vector<std::string> kLayers = {"blocks.0.attn.weight", "blocks.0.fc.weight", "blocks.1.attn.weight", "blocks.1.fc.weight"};

TEST(Selection, Every_two_dimensional_weight_is_quantized_and_nothing_else) {
  const Plan plan = plan_with(options_for("fp8"));
  for (const Decision& decision : plan.decisions) {
    const bool layer = decision.tensor.find("blocks.") == 0 && decision.tensor.find("bias") == std::string::npos;
    EXPECT_EQ(decision.layer, layer) << decision.tensor;
    EXPECT_EQ(decision.action, layer ? Action::quantize : Action::keep) << decision.tensor;
  }
}

TEST(Selection, Decisions_follow_the_order_of_names) {
  const Plan plan = plan_with(options_for("fp8"));
  ASSERT_EQ(plan.decisions.size(), kModel.size());
  for (std::size_t i = 1; i < plan.decisions.size(); ++i) EXPECT_LT(plan.decisions[i - 1].tensor, plan.decisions[i].tensor);
}

TEST(Selection, Weight_without_a_layer_name_is_no_layer) {
  const Plan plan = build_plan(model_of({bf16("weight", {64, 64}), bf16("a_weight", {64, 64})}), {}, options_for("fp8"));
  EXPECT_EQ(actions(plan, {"weight", "a_weight"}), "keep keep");
}

TEST(Rules, First_match_decides) {
  const Plan plan = plan_with(with_rules(R"({"match":{"contains":"blocks.0.attn"},"action":"keep","why":"first"},)"
                                         R"({"match":{"contains":"attn"},"action":"quantize","format":"int8-row"},)"
                                         R"({"match":{"contains":"blocks"},"action":"keep"})"));
  EXPECT_EQ(actions(plan, kLayers), "keep keep quantize keep");
  EXPECT_EQ(decision_for(plan, "blocks.1.attn.weight").spec.format->name(), "int8-row");
}

TEST(Rules, Decision_tells_rule_and_reason) {
  const Plan plan = plan_with(with_rules(R"({"match":{"contains":"blocks.0.attn"},"action":"keep","why":"first layer"})"));
  EXPECT_EQ(decision_for(plan, "blocks.0.attn.weight").rule, "r.json rule 1: contains 'blocks.0.attn'");
  EXPECT_EQ(decision_for(plan, "blocks.0.attn.weight").reason, "first layer");
}

TEST(Rules, Dropped_tensor_is_not_in_the_output) {
  const Plan plan = plan_with(with_rules(R"({"match":{"contains":"blocks.1"},"action":"drop"})"));
  EXPECT_EQ(test::output_of(plan, "blocks.1.fc.weight"), nullptr);
  EXPECT_EQ(decision_for(plan, "blocks.1.fc.weight").out_bytes, 0U);
}

TEST(Rules, Cast_and_drop_act_on_tensors_of_any_shape) {
  const Plan plan =
      plan_with(with_rules(R"({"match":{"contains":"bias"},"action":"drop"},{"match":{"contains":"conv"},"action":"cast","dtype":"f32"})"));
  EXPECT_EQ(test::output_of(plan, "blocks.0.fc.bias"), nullptr);
  EXPECT_EQ(test::output_of(plan, "conv.weight")->dtype, Dtype::F32);
}

TEST(Rules, Cast_leaves_integers_alone) {
  const Plan plan = plan_with(with_rules(R"({"match":{"glob":"*"},"action":"cast","dtype":"f16"})"));
  EXPECT_EQ(test::output_of(plan, "ids")->dtype, Dtype::I64);
}

TEST(Rules, Keep_protects_a_tensor_that_is_no_layer_from_a_later_rule) {
  const Plan plan =
      plan_with(with_rules(R"({"match":{"contains":"norm"},"action":"keep"},{"match":{"contains":"bias"},"action":"keep"},)"
                           R"({"match":{"contains":"blocks.0"},"action":"drop"},{"match":{"glob":"*"},"action":"cast","dtype":"f16"})"));
  EXPECT_EQ(actions(plan, {"norm.weight", "blocks.0.fc.bias"}), "keep keep");
}

TEST(Rules, Rule_may_choose_its_own_format_and_block_size) {
  const Plan plan = plan_with(with_rules(R"({"match":{"contains":"attn"},"action":"quantize","format":"int8-block","block_size":64})"));
  EXPECT_EQ(decision_for(plan, "blocks.0.attn.weight").spec.block_size, 64U);
  EXPECT_EQ(decision_for(plan, "blocks.0.fc.weight").spec.format->name(), "fp8");
}

TEST(Rules, Rule_with_another_format_takes_that_formats_default_block) {
  PlanOptions options = with_rules(R"({"match":{"contains":"attn"},"action":"quantize","format":"fp8-row"})", "fp8-block");
  options.spec.block_size = 64;
  EXPECT_EQ(decision_for(plan_with(options), "blocks.0.attn.weight").spec.block_size, 0U);
}

TEST(Rules, Block_size_that_the_format_does_not_take_names_the_rule) {
  EXPECT_THAT([] { (void)plan_with(with_rules(R"({"match":{"contains":"attn"},"action":"quantize","block_size":64})")); },
              fails_with(ErrorKind::usage, "r.json rule 1", "no effect on fp8"));
}

TEST(Rules, User_rule_precedes_patterns) {
  PlanOptions options = with_rules(R"({"match":{"contains":"blocks.0.attn"},"action":"quantize","format":"int8"})");
  options.exclude = {"attn"};
  EXPECT_EQ(actions(plan_with(options), kLayers), "quantize quantize keep quantize");
}

TEST(Rules, Unused_rule_is_an_error_unless_allowed) {
  PlanOptions options =
      with_rules(R"({"match":{"contains":"attn"},"action":"keep"},{"match":{"contains":"nothing_like_this"},"action":"keep"})");
  EXPECT_THAT([&] { (void)plan_with(options); },
              fails_with(ErrorKind::unused_rule, "r.json rule 2", "contains 'nothing_like_this'", "--allow-unused"));
  options.allow_unused = true;
  EXPECT_EQ(actions(plan_with(options), kLayers), "keep quantize keep quantize");
}

TEST(Rules, Quantize_rule_that_meets_no_layer_is_unused) {
  EXPECT_THAT([] { (void)plan_with(with_rules(R"({"match":{"contains":"bias"},"action":"quantize"})")); },
              fails_with(ErrorKind::unused_rule, "two-dimensional '*.weight'"));
}

TEST(Rules, Rule_hidden_by_an_earlier_one_counts_as_used) {
  const Plan plan =
      plan_with(with_rules(R"({"match":{"contains":"blocks"},"action":"keep"},{"match":{"contains":"attn"},"action":"keep"})"));
  EXPECT_EQ(actions(plan, kLayers), "keep keep keep keep");
}

TEST(Patterns, Exclude_keeps_and_include_restricts) {
  PlanOptions options = options_for("fp8");
  options.include = {R"(blocks\.0)", "fc"};
  options.exclude = {"0.fc"};
  const Plan plan = plan_with(options);
  EXPECT_EQ(actions(plan, kLayers), "quantize keep keep quantize");
  EXPECT_EQ(decision_for(plan, "blocks.0.fc.weight").rule, "--exclude: regex '0.fc'");
  EXPECT_EQ(decision_for(plan, "blocks.1.attn.weight").rule, "--include");
}

TEST(Patterns, Unused_pattern_is_an_error_unless_allowed) {
  PlanOptions include = options_for("fp8");
  include.include = {"blocks", "nothing"};
  PlanOptions exclude = options_for("fp8");
  exclude.exclude = {"norm"};  // matches, but no layer
  EXPECT_THAT([&] { (void)plan_with(include); }, fails_with(ErrorKind::unused_rule, "--include", "'nothing'"));
  EXPECT_THAT([&] { (void)plan_with(exclude); }, fails_with(ErrorKind::unused_rule, "--exclude", "'norm'"));
  exclude.allow_unused = true;
  EXPECT_EQ(actions(plan_with(exclude), kLayers), "quantize quantize quantize quantize");
}

TEST(Patterns, Invalid_pattern_names_its_option) {
  PlanOptions options = options_for("fp8");
  options.exclude = {"("};
  EXPECT_THAT([&] { (void)plan_with(options); }, fails_with(ErrorKind::bad_rules, "--exclude", "'('"));
}

TEST(Presets, Auto_and_none_stand_alone) {
  for (const char* name : {"auto", "none"}) {
    PlanOptions options = options_for("fp8");
    options.presets = {name, "flux"};
    EXPECT_THAT([&] { (void)plan_with(options); }, fails_with(ErrorKind::usage, name, "combined")) << name;
  }
}

TEST(Presets, Unknown_name_suggests_the_nearest) {
  PlanOptions options = options_for("fp8");
  options.presets = {"fluxx"};
  EXPECT_THAT([&] { (void)plan_with(options); }, fails_with(ErrorKind::usage, "'fluxx'", "did you mean 'flux"));
}

TEST(Presets, Chosen_names_are_joined_in_the_plan) {
  PlanOptions options = options_for("fp8");
  options.presets = {"t5xxl", "flux"};
  const Plan plan = plan_with(options);
  EXPECT_EQ(plan.preset, "t5xxl,flux");
  EXPECT_THAT(plan.preset_reason, HasSubstr("user"));
}

TEST(Presets, User_rule_precedes_the_preset) {
  PlanOptions options = with_rules(R"({"match":{"contains":"img_in"},"action":"quantize"})");
  options.presets = {"flux"};
  const Plan plan = build_plan(model_of({bf16("img_in.weight", {64, 64}), bf16("txt_in.weight", {64, 64})}), {}, options);
  EXPECT_EQ(actions(plan, {"img_in.weight", "txt_in.weight"}), "quantize keep");
}

TEST(Presets, Pattern_does_not_save_what_the_preset_drops) {
  PlanOptions options = options_for("fp8");
  options.presets = {"t5xxl"};
  options.exclude = {"block"};
  options.include = {"block"};
  const char* dropped = "decoder.block.0.layer.0.SelfAttention.q.weight";
  const Plan plan = build_plan(model_of({bf16(dropped, {64, 64}), bf16("encoder.block.0.q.weight", {64, 64})}), {}, options);
  EXPECT_EQ(actions(plan, {dropped, "encoder.block.0.q.weight"}), "drop keep");
}

TEST(Presets, User_rule_saves_what_the_preset_drops) {
  PlanOptions options = with_rules(R"({"match":{"contains":"decoder"},"action":"keep"})");
  options.presets = {"t5xxl"};
  EXPECT_EQ(actions(build_plan(model_of({bf16("decoder.q.weight", {64, 64})}), {}, options), {"decoder.q.weight"}), "keep");
}

TEST(Presets, Unused_rules_of_a_preset_are_no_error) {
  PlanOptions options = options_for("fp8");
  options.presets = {"flux"};
  EXPECT_EQ(actions(plan_with(options), kLayers), "quantize quantize quantize quantize");
}

}  // namespace
}  // namespace halftone::plan
