#include "plan/example.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::decision_for;
using test::fails_with;
using test::model_of;
using testing::Contains;
using testing::HasSubstr;

/// A model that quantizes the layer `prefix`a and not `prefix`b.
Example example_with(const std::string& prefix = "") {
  const ModelIndex model = model_of({{prefix + "a.weight", Dtype::F8_E4M3, {64, 128}},
                                     {prefix + "a.weight_scale", Dtype::F32, {1, 2}},
                                     {prefix + "a.comfy_quant", Dtype::U8, {1}},
                                     bf16(prefix + "b.weight", {64, 64})});
  return example_of(model, {{prefix + "a.comfy_quant", R"({"format": "float8_e4m3fn_blockwise", "group_size": 64})"}}, "other");
}

Plan plan_like(Example example, std::vector<TensorInfo> tensors, const char* format = nullptr) {
  PlanOptions options;
  options.presets = {"none"};
  options.like = std::move(example);
  options.spec.format = format != nullptr ? &format_named(format) : nullptr;
  return build_plan(model_of(std::move(tensors)), {}, options);
}

TEST(Example, Knows_formats_and_layers_without_one) {
  const Example example = example_with();
  ASSERT_EQ(example.layers.size(), 2U);
  EXPECT_EQ(example.layers.at("a.weight")->format->name(), "fp8-block");
  EXPECT_EQ(example.layers.at("a.weight")->block_size, 64U);
  EXPECT_FALSE(example.layers.at("b.weight"));
}

TEST(Example, Layer_follows_it) {
  const Plan plan = plan_like(example_with(), {bf16("a.weight", {64, 128}), bf16("b.weight", {64, 64})});
  EXPECT_EQ(decision_for(plan, "a.weight").spec.format->name(), "fp8-block");
  EXPECT_EQ(decision_for(plan, "b.weight").action, Action::keep);
  EXPECT_EQ(decision_for(plan, "b.weight").rule, "--like");
}

TEST(Example, Layer_that_it_lacks_takes_the_format_or_is_kept) {
  const std::vector<TensorInfo> tensors = {bf16("a.weight", {64, 128}), bf16("c.weight", {64, 64})};
  EXPECT_EQ(decision_for(plan_like(example_with(), tensors), "c.weight").action, Action::keep);
  const Plan plan = plan_like(example_with(), tensors, "int8-row");
  EXPECT_EQ(decision_for(plan, "c.weight").spec.format->name(), "int8-row");
  EXPECT_EQ(decision_for(plan, "c.weight").spec.block_size, 0U);
  EXPECT_THAT(plan.notes, Contains(HasSubstr("1 layer of the input is not in 'other': c.weight")));
}

TEST(Example, Prefix_is_bridged_either_way) {
  EXPECT_THAT(plan_like(example_with("m."), {bf16("a.weight", {64, 128})}).notes, Contains(HasSubstr("have the prefix 'm.'")));
  EXPECT_THAT(plan_like(example_with(), {bf16("m.a.weight", {64, 128})}).notes, Contains(HasSubstr("lack the prefix 'm.'")));
}

TEST(Example, Longer_word_is_no_prefix) {
  EXPECT_THAT([] { (void)plan_like(example_with(), {bf16("xa.weight", {64, 128})}); }, fails_with(ErrorKind::usage, "no layer of 'other'"));
}

TEST(Example, Model_without_quantized_layers_is_none) {
  EXPECT_THAT([] { (void)example_of(model_of({bf16("a.weight", {4, 4})}), {}, "x"); }, fails_with(ErrorKind::usage, "nothing to follow"));
}

TEST(Example, Shapes_that_the_format_does_not_take_are_treated_as_ever) {
  EXPECT_THAT([] { (void)plan_like(example_with(), {bf16("a.weight", {65, 128})}); }, fails_with(ErrorKind::indivisible, "a.weight"));
}

}  // namespace
}  // namespace halftone
