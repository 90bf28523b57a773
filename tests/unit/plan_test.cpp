#include <halftone/plan.hpp>

#include <gmock/gmock.h>

#include "support/format_spec.hpp"
#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::fails_with;
using test::model_of;
using test::options_for;
using test::output_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<TensorInfo> kTensors = {
    bf16("a.weight", {256, 128}), bf16("a.bias", {256}), bf16("b.weight", {64, 64}), {"ids", Dtype::I64, {3}}};

/// The job that writes the output tensor `name`.
const Job& job_of(const Plan& plan, std::string_view name) {
  for (const Job& job : plan.jobs) {
    for (const std::uint32_t index : job.outputs) {
      if (plan.output.tensors[index].name == name) return job;
    }
  }
  throw std::out_of_range("no job writes " + std::string(name));
}

TEST(Plan, Output_holds_every_tensor_of_every_layer) {
  const Plan plan = build_plan(model_of(kTensors), {}, options_for("fp8"));
  std::vector<std::string> names;
  for (const TensorInfo& tensor : plan.output.tensors) names.push_back(tensor.name);
  // Descending rank of the type, then name.
  EXPECT_THAT(names,
              ElementsAre("ids", "a.weight_scale", "b.weight_scale", "a.bias", "a.weight", "b.weight", "a.comfy_quant", "b.comfy_quant"));
}

TEST(Plan, Size_is_that_of_header_and_data) {
  for (const FormatDescriptor* format : all_formats()) {
    PlanOptions options = options_for(format->name());
    test::keep_unfit_layers(options);
    const Plan plan = build_plan(model_of(kTensors, {{"format", "pt"}}), {}, options);
    std::uint64_t data = 0;
    for (const TensorInfo& tensor : plan.output.tensors) data += byte_count(tensor.dtype, tensor.shape);
    EXPECT_EQ(plan.output_bytes(), serialize(plan.output).size() + data) << format->name();
  }
}

TEST(Plan, Out_bytes_of_the_decisions_add_up_to_the_data) {
  const Plan plan = build_plan(model_of(kTensors), {}, options_for("fp8-row"));
  std::uint64_t sum = 0;
  for (const Decision& decision : plan.decisions) sum += decision.out_bytes;
  EXPECT_EQ(sum, plan.output.data_bytes());
  EXPECT_EQ(test::decision_for(plan, "a.weight").in_bytes, 2U * 256 * 128);
}

TEST(Plan, Every_output_tensor_has_one_job) {
  const Plan plan = build_plan(model_of(kTensors), {}, options_for("int8-row"));
  std::vector<int> writers(plan.output.tensors.size());
  for (const Job& job : plan.jobs) {
    for (const std::uint32_t index : job.outputs) ++writers[index];
  }
  EXPECT_THAT(writers, testing::Each(1));
}

TEST(Plan, Jobs_follow_the_offsets_of_their_outputs) {
  const Plan plan = build_plan(model_of(kTensors), {}, options_for("fp8"));
  for (std::size_t i = 1; i < plan.jobs.size(); ++i) EXPECT_LT(plan.jobs[i - 1].outputs.front(), plan.jobs[i].outputs.front());
}

TEST(Plan, Quantize_job_writes_the_codes_first_and_the_scales_second) {
  const Plan plan = build_plan(model_of(kTensors), {}, options_for("fp8-row"));
  const Job& job = job_of(plan, "a.weight");
  EXPECT_EQ(job.kind, JobKind::quantize);
  ASSERT_EQ(job.outputs.size(), 2U);
  EXPECT_EQ(plan.output.tensors[job.outputs[0]].name, "a.weight");
  EXPECT_EQ(plan.output.tensors[job.outputs[1]].name, "a.weight_scale");
  EXPECT_EQ(job.inputs[0].info.name, "a.weight");
}

TEST(Plan, Sidecar_is_a_constant) {
  const Plan plan = build_plan(model_of(kTensors), {}, options_for("fp8"));
  EXPECT_EQ(job_of(plan, "a.comfy_quant").kind, JobKind::constant);
  EXPECT_EQ(job_of(plan, "a.comfy_quant").bytes, R"({"format": "float8_e4m3fn"})");
}

TEST(Plan, Cast_to_the_type_a_tensor_has_is_a_copy) {
  PlanOptions options = options_for("fp8");
  options.rules = parse_rules(R"({"rules":[{"match":{"contains":"bias"},"action":"cast","dtype":"bf16"}]})", "r.json");
  EXPECT_EQ(job_of(build_plan(model_of(kTensors), {}, options), "a.bias").kind, JobKind::copy);
}

TEST(Plan, Input_facts_are_those_of_the_model) {
  const ModelIndex model = model_of(kTensors);
  const Plan plan = build_plan(model, {}, options_for("fp8"));
  EXPECT_EQ(plan.input_digest, model.digest());
  EXPECT_EQ(plan.input_bytes, model.file_bytes());
  EXPECT_EQ(plan.input_tensors, 4U);
}

TEST(Plan, Metadata_passes_through) {
  const Plan with = build_plan(model_of(kTensors, {{"format", "pt"}, {"note", "x"}}), {}, options_for("fp8"));
  EXPECT_EQ(with.output.metadata, (Metadata{{"format", "pt"}, {"note", "x"}}));
  EXPECT_FALSE(build_plan(model_of(kTensors), {}, options_for("fp8")).output.has_metadata);
}

TEST(Plan, Quant_metadata_describes_every_quantized_layer) {
  PlanOptions options = options_for("fp8");
  options.quant_metadata = true;
  options.exclude = {"b"};
  const Plan plan = build_plan(model_of(kTensors), {}, options);
  EXPECT_TRUE(plan.output.has_metadata);
  EXPECT_EQ(plan.output.metadata.at("_quantization_metadata"),
            R"({"format_version": "1.0", "layers": {"a": {"format": "float8_e4m3fn"}}})");
}

TEST(Plan, Input_scale_is_written_where_asked_for) {
  PlanOptions options = options_for("fp8");
  options.spec.input_scale = true;
  const Plan plan = build_plan(model_of(kTensors), {}, options);
  ASSERT_NE(output_of(plan, "a.input_scale"), nullptr);
  EXPECT_EQ(job_of(plan, "a.input_scale").bytes, std::string("\0\0\x80\x3F", 4));
}

TEST(Plan, Option_without_effect_is_refused) {
  PlanOptions input_scale = options_for("int8");
  input_scale.spec.input_scale = true;
  EXPECT_THAT([&] { (void)build_plan(model_of(kTensors), {}, input_scale); }, fails_with(ErrorKind::usage, "--input-scale", "int8"));
  PlanOptions full_precision = options_for("fp8-cast");
  full_precision.spec.full_precision_mm = true;
  EXPECT_THAT([&] { (void)build_plan(model_of(kTensors), {}, full_precision); },
              fails_with(ErrorKind::usage, "--full-precision-mm", "fp8-cast"));
  PlanOptions metadata = options_for("fp8-cast");
  metadata.quant_metadata = true;
  EXPECT_THAT([&] { (void)build_plan(model_of(kTensors), {}, metadata); }, fails_with(ErrorKind::usage, "--quant-metadata", "fp8-cast"));
  PlanOptions block_size = options_for("fp8");
  block_size.spec.block_size = 64;
  EXPECT_THAT([&] { (void)build_plan(model_of(kTensors), {}, block_size); },
              fails_with(ErrorKind::usage, "--block-size", "no effect on fp8"));
}

TEST(Plan, Colliding_names_are_refused) {
  std::vector<TensorInfo> tensors = kTensors;
  tensors.push_back({"a.weight_scale", Dtype::F32, {}});
  EXPECT_THAT([&] { (void)build_plan(model_of(tensors), {}, options_for("fp8")); },
              fails_with(ErrorKind::bad_quantization, "two tensors 'a.weight_scale'"));
}

TEST(Plan, Collision_goes_away_when_the_old_tensor_is_dropped) {
  std::vector<TensorInfo> tensors = kTensors;
  tensors.push_back({"a.weight_scale", Dtype::F32, {}});
  PlanOptions options = options_for("fp8");
  options.rules = parse_rules(R"({"rules":[{"match":{"glob":"a.weight_scale"},"action":"drop"}]})", "r.json");
  EXPECT_NE(output_of(build_plan(model_of(tensors), {}, options), "a.weight_scale"), nullptr);
}

TEST(Plan, Note_counts_the_layers_that_the_target_keeps) {
  PlanOptions options = options_for("fp8");
  options.presets = {"auto"};
  const ModelIndex model = model_of({bf16("blocks.0.fc.weight", {130, 80}), bf16("blocks.1.fc.weight", {144, 80})});
  EXPECT_THAT(build_plan(model, {}, options).notes,
              testing::Contains(HasSubstr("1 layer stays unquantized because ComfyUI's fast product")));
  options.target = Target::none;
  EXPECT_THAT(build_plan(model, {}, options).notes, IsEmpty());
}

TEST(Plan, Model_without_layers_gives_a_note) {
  EXPECT_THAT(build_plan(model_of({{"ids", Dtype::I64, {3}}}), {}, options_for("fp8")).notes, ElementsAre(HasSubstr("no layer")));
}

TEST(Plan, Format_that_the_loader_needs_a_node_for_gives_a_note) {
  PlanOptions options = options_for("fp8-row");
  EXPECT_THAT(build_plan(model_of(kTensors), {}, options).notes, ElementsAre(HasSubstr("QuantOps")));
  options.target = Target::none;
  EXPECT_THAT(build_plan(model_of(kTensors), {}, options).notes, IsEmpty());
}

TEST(Plan, Notes_are_about_the_formats_that_are_used) {
  PlanOptions options = options_for("fp8");
  options.rules =
      parse_rules(R"({"rules":[{"match":{"contains":"b.weight"},"action":"quantize","format":"int8-block","block_size":64}]})", "r.json");
  EXPECT_THAT(build_plan(model_of(kTensors), {}, options).notes, ElementsAre(HasSubstr("int8-block")));
}

TEST(Plan, Empty_model_gives_an_empty_output) {
  const Plan plan = build_plan(model_of({}), {}, options_for("fp8"));
  EXPECT_TRUE(plan.jobs.empty());
  EXPECT_EQ(plan.output_bytes(), 16U);
}

}  // namespace
}  // namespace halftone
