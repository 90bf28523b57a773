#include <halftone/preset.hpp>

#include <algorithm>
#include <set>

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::decision_for;
using test::fails_with;
using test::model_of;
using test::options_for;

/// The tensors by which FLUX.1 is known, tiny, below `prefix`.
std::vector<TensorInfo> flux(const std::string& prefix = "") {
  std::vector<TensorInfo> tensors;
  for (const char* name : {"double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight", "img_in.weight", "txt_in.weight"}) {
    tensors.push_back(bf16(prefix + name, {64, 64}));
  }
  return tensors;
}

/// A tiny T5-XXL encoder.
const std::vector<TensorInfo> kT5 = {bf16("encoder.block.0.layer.0.SelfAttention.q.weight", {64, 64}),
                                     bf16("encoder.block.23.layer.1.DenseReluDense.wi_1.weight", {64, 64}),
                                     bf16("shared.weight", {128, 64})};

TEST(Presets, Embedded_files_are_read_and_sorted_by_name) {
  ASSERT_GT(all_presets().size(), 10U);
  EXPECT_TRUE(std::is_sorted(all_presets().begin(), all_presets().end(), [](const Preset& a, const Preset& b) { return a.name < b.name; }));
}

TEST(Presets, Every_one_has_a_title_and_a_reason_for_each_rule) {
  std::set<std::string> names;
  for (const Preset& preset : all_presets()) {
    EXPECT_TRUE(names.insert(preset.name).second) << preset.name;
    EXPECT_FALSE(preset.title.empty()) << preset.name;
    EXPECT_TRUE(preset.present.empty() || !preset.detect_why.empty()) << preset.name;
    for (const Rule& rule : preset.rules) EXPECT_FALSE(rule.why.empty()) << preset.name << ": " << rule.match.text();
    for (const Rule& rule : preset.measured) EXPECT_FALSE(rule.why.empty()) << preset.name << ": " << rule.match.text();
  }
}

TEST(Presets, Visible_one_is_found_by_name) { EXPECT_EQ(preset_named("flux").name, "flux"); }

TEST(Presets, Hidden_list_is_no_preset) {
  for (const Preset& preset : all_presets()) {
    if (!preset.hidden) continue;
    EXPECT_THAT([&] { (void)preset_named(preset.name); }, fails_with(ErrorKind::usage, preset.name)) << preset.name;
  }
}

TEST(Presets, Unknown_name_suggests_the_nearest) {
  EXPECT_THAT([] { (void)preset_named("t5xll"); }, fails_with(ErrorKind::usage, "'t5xll'", "did you mean 't5xxl'"));
}

TEST(RecogniseModel, Landmarks_lead_to_the_family) {
  const Recognition found = recognise_model(model_of(flux()));
  EXPECT_EQ(found.preset->name, "flux");
  EXPECT_FALSE(found.reason.empty());
}

TEST(RecogniseModel, Prefix_before_the_landmarks_does_not_matter) {
  EXPECT_EQ(recognise_model(model_of(flux("model.diffusion_model."))).preset->name, "flux");
}

TEST(RecogniseModel, Name_must_match_whole_parts) { EXPECT_EQ(recognise_model(model_of(flux("x"))).preset->name, "general"); }

TEST(RecogniseModel, Missing_landmark_leaves_the_model_unknown) {
  std::vector<TensorInfo> tensors = flux();
  tensors.pop_back();
  EXPECT_NE(recognise_model(model_of(tensors)).preset->name, "flux");
}

TEST(RecogniseModel, Forbidden_landmark_excludes_the_family) {
  std::vector<TensorInfo> tensors = flux();
  tensors.push_back(bf16("distilled_guidance_layer.norms.0.scale", {64}));
  EXPECT_NE(recognise_model(model_of(tensors)).preset->name, "flux");
}

TEST(RecogniseModel, Wildcard_landmark_is_seen) { EXPECT_EQ(recognise_model(model_of(kT5)).preset->name, "t5xxl"); }

TEST(RecogniseModel, Unknown_model_takes_the_general_rules) {
  const Recognition found = recognise_model(model_of({bf16("layers.0.weight", {64, 64})}));
  EXPECT_EQ(found.preset->name, "general");
  EXPECT_THAT(found.reason, testing::HasSubstr("no known model"));
}

TEST(AutoPreset, Plan_names_the_family_and_keeps_its_layers) {
  PlanOptions options = options_for("fp8");
  options.presets = {"auto"};
  const Plan plan = build_plan(model_of(flux()), {}, options);
  EXPECT_EQ(plan.preset, "flux");
  EXPECT_EQ(decision_for(plan, "img_in.weight").action, Action::keep);
  EXPECT_THAT(decision_for(plan, "img_in.weight").rule, testing::StartsWith("preset flux"));
  EXPECT_EQ(decision_for(plan, "double_blocks.0.img_attn.qkv.weight").action, Action::quantize);
}

TEST(AutoPreset, Measured_tensor_is_kept_only_when_recognised) {
  PlanOptions options = options_for("fp8");
  options.presets = {"auto"};
  const char* measured = "encoder.block.23.layer.1.DenseReluDense.wi_1.weight";
  EXPECT_EQ(decision_for(build_plan(model_of(kT5), {}, options), measured).action, Action::keep);
  options.presets = {"t5xxl"};
  EXPECT_EQ(decision_for(build_plan(model_of(kT5), {}, options), measured).action, Action::quantize);
}

TEST(AutoPreset, General_rules_keep_embeddings_norms_and_heads) {
  PlanOptions options = options_for("fp8");
  options.presets = {"auto"};
  const Plan plan = build_plan(model_of({bf16("embed_tokens.weight", {64, 64}), bf16("layers.0.norm1.weight", {64, 64}),
                                         bf16("lm_head.weight", {64, 64}), bf16("layers.0.fc.weight", {64, 64})}),
                               {}, options);
  for (const char* name : {"embed_tokens.weight", "layers.0.norm1.weight", "lm_head.weight"})
    EXPECT_EQ(decision_for(plan, name).action, Action::keep) << name;
  EXPECT_EQ(decision_for(plan, "layers.0.fc.weight").action, Action::quantize);
}

TEST(T5Preset, Decoder_is_dropped_with_its_small_tensors) {
  PlanOptions options = options_for("fp8");
  options.presets = {"t5xxl"};
  std::vector<TensorInfo> tensors = kT5;
  tensors.push_back(bf16("decoder.block.0.layer.0.layer_norm.weight", {64}));
  tensors.push_back(bf16("lm_head.weight", {128, 64}));
  const Plan plan = build_plan(model_of(tensors), {}, options);
  EXPECT_EQ(decision_for(plan, "decoder.block.0.layer.0.layer_norm.weight").action, Action::drop);
  EXPECT_EQ(decision_for(plan, "lm_head.weight").action, Action::drop);
}

}  // namespace
}  // namespace halftone
