#include <gmock/gmock.h>

#include <halftone/edit.hpp>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::fails_with;
using test::model_of;
using test::output_of;

const std::string kLabel = R"({"format": "float8_e4m3fn"})";
/// An FP8 layer "a" with all its tensors, and a norm.
const std::vector<TensorInfo> kTensors = {{"a.weight", Dtype::F8_E4M3, {64, 32}},
                                          {"a.weight_scale", Dtype::F32, {}},
                                          {"a.comfy_quant", Dtype::U8, {27}},
                                          bf16("norm.weight", {64})};
const SideTexts kTexts = {{"a.comfy_quant", kLabel}};
/// A header that describes the layer "a", and one that the file lacks.
const Metadata kHeader = {
    {"_quantization_metadata", R"({"format_version": "1.0", "layers": {"gone": {"format": "mxfp8"}, "a": )" + kLabel + "}}"}};

Plan plan_of(const EditOptions& options, const Metadata& metadata = {}) {
  return build_edit_plan(model_of(kTensors, metadata), kTexts, options);
}

TEST(EditPlan, Layer_is_renamed_with_its_companions_and_its_header_entry) {
  const Plan plan = plan_of({.rename = {{"^a\\.", "b."}}}, kHeader);
  for (const char* name : {"b.weight", "b.weight_scale", "b.comfy_quant", "norm.weight"}) EXPECT_NE(output_of(plan, name), nullptr) << name;
  EXPECT_EQ(plan.output.metadata.at("_quantization_metadata"),
            R"({"format_version": "1.0", "layers": {"gone": {"format": "mxfp8"}, "b": )" + kLabel + "}}");
  EXPECT_EQ(plan.changes.size(), 3U);
}

TEST(EditPlan, Every_job_copies_or_is_a_constant) {
  const Plan plan = plan_of({.full_precision_mm = {"a"}});
  for (const Job& job : plan.jobs) {
    EXPECT_EQ(job.kind, plan.output.tensors[job.outputs[0]].name == "a.comfy_quant" ? JobKind::constant : JobKind::copy);
  }
}

TEST(EditPlan, Dropped_weight_takes_its_companions_along) {
  const Plan plan = plan_of({.drop = {"a\\.weight$"}}, kHeader);
  ASSERT_EQ(plan.output.tensors.size(), 1U);
  EXPECT_EQ(plan.output.metadata.at("_quantization_metadata"), R"({"format_version": "1.0", "layers": {"gone": {"format": "mxfp8"}}})");
}

TEST(EditPlan, Header_entry_that_is_not_touched_keeps_its_text) {
  const Metadata odd = {{"_quantization_metadata", R"({ "layers":{"a":{"format":"float8_e4m3fn"}} })"}};
  EXPECT_EQ(plan_of({.set_metadata = {{"k", "v"}}}, odd).output.metadata.at("_quantization_metadata"), odd.begin()->second);
}

TEST(EditPlan, Tensor_that_would_get_the_name_of_a_described_layer_is_refused) {
  EXPECT_THAT([] { (void)plan_of({.rename = {{"norm", "gone"}}}, kHeader); }, fails_with(ErrorKind::bad_quantization, "gone"));
}

TEST(EditPlan, Names_that_no_file_can_have_are_refused) {
  for (const char* name : {"", "__metadata__", "\xFF"}) {
    EXPECT_THAT([&] { (void)plan_of({.rename = {{"^norm\\.weight$", name}}}); }, fails_with(ErrorKind::usage, "norm.weight")) << name;
  }
}

TEST(EditPlan, Without_a_change_there_is_no_plan) {
  EXPECT_THAT([] { (void)plan_of({}); }, fails_with(ErrorKind::usage, "no change"));
}

}  // namespace
}  // namespace halftone
