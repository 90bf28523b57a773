#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::decision_for;
using test::fails_with;
using test::model_of;

/// An FP8 layer "a" with all its tensors, and a bias.
const std::vector<TensorInfo> kTensors = {{"a.weight", Dtype::F8_E4M3, {64, 32}},
                                          {"a.weight_scale", Dtype::F32, {}},
                                          {"a.comfy_quant", Dtype::U8, {27}},
                                          {"a.input_scale", Dtype::F32, {}},
                                          bf16("a.bias", {64})};
const SideTexts kTexts = {{"a.comfy_quant", R"({"format": "float8_e4m3fn"})"}};

TEST(DequantizePlan, Weight_returns_to_the_type_and_its_companions_go) {
  const Plan plan = build_dequantize_plan(model_of(kTensors), kTexts, Dtype::F16);
  ASSERT_EQ(plan.output.tensors.size(), 2U);
  EXPECT_EQ(test::output_of(plan, "a.weight")->dtype, Dtype::F16);
  EXPECT_EQ(test::output_of(plan, "a.weight")->shape, (Shape{64, 32}));
  EXPECT_EQ(test::output_of(plan, "a.bias")->dtype, Dtype::BF16);
  EXPECT_EQ(decision_for(plan, "a.weight").action, Action::cast);
  for (const char* name : {"a.weight_scale", "a.comfy_quant", "a.input_scale"})
    EXPECT_EQ(decision_for(plan, name).action, Action::drop) << name;
}

TEST(DequantizePlan, Job_reads_codes_then_scales) {
  const Plan plan = build_dequantize_plan(model_of(kTensors), kTexts, Dtype::F32);
  const auto job = std::find_if(plan.jobs.begin(), plan.jobs.end(), [](const Job& each) { return each.kind == JobKind::dequantize; });
  ASSERT_NE(job, plan.jobs.end());
  ASSERT_EQ(job->inputs.size(), 2U);
  EXPECT_EQ(job->inputs[0].info.name, "a.weight");
  EXPECT_EQ(job->inputs[1].info.name, "a.weight_scale");
}

TEST(DequantizePlan, Plain_cast_needs_no_scales) {
  const Plan plan = build_dequantize_plan(model_of({{"a.weight", Dtype::F8_E4M3, {4, 4}}}), {}, Dtype::BF16);
  ASSERT_EQ(plan.jobs.size(), 1U);
  EXPECT_EQ(plan.jobs[0].inputs.size(), 1U);
}

TEST(DequantizePlan, Header_description_is_removed_and_other_metadata_kept) {
  const Metadata metadata = {{"_quantization_metadata", R"({"format_version": "1.0", "layers": {"a": {"format": "float8_e4m3fn"}}})"},
                             {"format", "pt"}};
  EXPECT_EQ(build_dequantize_plan(model_of(kTensors, metadata), kTexts, Dtype::F32).output.metadata, (Metadata{{"format", "pt"}}));
}

TEST(DequantizePlan, Model_without_quantized_layers_is_refused) {
  EXPECT_THAT(
      [] {
        (void)build_dequantize_plan(model_of({bf16("a.weight", {4, 4})}), {}, Dtype::F32);
      },
      fails_with(ErrorKind::usage, "nothing to dequantize"));
}

TEST(DequantizePlan, Layer_of_an_unknown_format_is_refused_by_name) {
  EXPECT_THAT(
      [] {
        (void)build_dequantize_plan(model_of(kTensors), {{"a.comfy_quant", R"({"format": "nvfp9"})"}}, Dtype::F32);
      },
      fails_with(ErrorKind::unsupported, "'a'", "nvfp9"));
}

TEST(DequantizePlan, Layer_that_contradicts_its_label_is_refused) {
  std::vector<TensorInfo> tensors = kTensors;
  tensors[1].shape = {64};  // row scales under the label of one scale per tensor
  EXPECT_THAT([&] { (void)build_dequantize_plan(model_of(tensors), kTexts, Dtype::F32); }, fails_with(ErrorKind::bad_quantization, "'a'"));
}

}  // namespace
}  // namespace halftone
