#include <gmock/gmock.h>

#include <halftone/migrate.hpp>

#include "formats/recoding.hpp"
#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::fails_with;
using test::model_of;
using test::output_of;

/// An FP8 layer "a" in the older layout, and a norm.
const std::vector<TensorInfo> kLegacy = {{"a.weight", Dtype::F8_E4M3, {64, 32}},
                                         {"a.scale_weight", Dtype::F32, {1}},
                                         {"scaled_fp8", Dtype::F8_E4M3, {2}},
                                         bf16("norm.weight", {64})};

/// The bytes of the constant tensor `name`.
std::string constant_of(const Plan& plan, std::string_view name) {
  for (const Job& job : plan.jobs) {
    if (job.kind == JobKind::constant && plan.output.tensors[job.outputs[0]].name == name) return job.bytes;
  }
  return {};
}

TEST(MigratePlan, Older_layer_gets_a_label_and_todays_names) {
  const Plan plan = build_migrate_plan(model_of(kLegacy), {}, {}, {});
  EXPECT_FALSE(plan.up_to_date);
  EXPECT_EQ(output_of(plan, "a.weight_scale")->shape, Shape{});
  EXPECT_EQ(output_of(plan, "scaled_fp8"), nullptr);
  EXPECT_EQ(constant_of(plan, "a.comfy_quant"), R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})");
  EXPECT_EQ(plan.changes.size(), 2U);
}

TEST(MigratePlan, Marker_counts_below_its_prefix_only) {
  std::vector<TensorInfo> tensors = kLegacy;
  tensors[2].name = "other.scaled_fp8";
  EXPECT_EQ(constant_of(build_migrate_plan(model_of(tensors), {}, {}, {}), "a.comfy_quant"), R"({"format": "float8_e4m3fn"})");
}

TEST(MigratePlan, Nothing_but_copies_and_constants) {
  for (const Job& job : build_migrate_plan(model_of(kLegacy), {}, {}, {}).jobs) {
    EXPECT_TRUE(job.kind == JobKind::copy || job.kind == JobKind::constant);
  }
}

TEST(MigratePlan, Label_that_is_written_anew_is_a_text_whatever_its_type_was) {
  const ModelIndex model =
      model_of({{"a.weight", Dtype::F8_E4M3, {64, 128}}, {"a.weight_scale", Dtype::F32, {1, 2}}, {"a.comfy_quant", Dtype::F32, {2}}});
  const SideTexts texts = {{"a.comfy_quant", R"({"format": "float8_e4m3fn_blockwise", "params": {"group_size": 64}})"}};
  const Plan plan = build_migrate_plan(model, texts, {}, {});
  const std::string text = R"({"format": "float8_e4m3fn_blockwise", "group_size": 64})";
  EXPECT_EQ(constant_of(plan, "a.comfy_quant"), text);
  EXPECT_EQ(output_of(plan, "a.comfy_quant")->dtype, Dtype::U8);
  EXPECT_EQ(output_of(plan, "a.comfy_quant")->shape, Shape{text.size()});
}

TEST(MigratePlan, Descriptions_that_contradict_each_other_are_refused) {
  const ModelIndex model =
      model_of({{"a.weight", Dtype::F8_E4M3, {64, 128}}, {"a.weight_scale", Dtype::F32, {1, 2}}, {"a.comfy_quant", Dtype::U8, {1}}});
  const SideTexts texts = {{"a.comfy_quant", R"({"format": "float8_e4m3fn_blockwise", "params": {"params": {"group_size": 64}}})"}};
  EXPECT_THAT([&] { (void)build_migrate_plan(model, texts, {}, {}); }, fails_with(ErrorKind::bad_quantization, "'a'"));
}

/// A layer "a" with this label and this entry in the header.
Plan plan_of_both(const std::string& label, const std::string& entry) {
  const ModelIndex model = model_of(
      {{"a.weight", Dtype::F8_E4M3, {64, 128}}, {"a.weight_scale", Dtype::F32, {1, 2}}, {"a.comfy_quant", Dtype::U8, {label.size()}}},
      {{"_quantization_metadata", R"({"layers": {"a": )" + entry + "}}"}});
  return build_migrate_plan(model, {{"a.comfy_quant", label}}, {}, {});
}

TEST(MigratePlan, Header_that_says_something_else_than_the_label_is_refused) {
  const std::string block = R"({"format": "float8_e4m3fn_blockwise", "group_size": 64})";
  for (const char* label :
       {R"({"format": "int8_blockwise", "group_size": 64})", R"({"format": "float8_e4m3fn_blockwise", "group_size": 128})",
        R"({"format": "float8_e4m3fn_blockwise", "group_size": 64, "full_precision_matrix_mult": true})"}) {
    EXPECT_THAT([&] { (void)plan_of_both(label, block); },
                fails_with(ErrorKind::bad_quantization, "'a'", "_quantization_metadata", "float8_e4m3fn_blockwise", "its own label"))
        << label;
  }
  EXPECT_TRUE(plan_of_both(block, block).up_to_date);
  // A size that only one of them tells is no contradiction.
  EXPECT_TRUE(plan_of_both(R"({"format": "float8_e4m3fn_blockwise"})", block).up_to_date);
}

TEST(MigratePlan, Scales_of_columns_are_refused_by_their_name) {
  const ModelIndex model = model_of({{"a.weight", Dtype::F8_E4M3, {64, 32}}, {"a.scale_weight", Dtype::F32, {1, 32}}});
  EXPECT_THAT([&] { (void)build_migrate_plan(model, {}, {}, {}); },
              fails_with(ErrorKind::bad_quantization, "'a'", "'a.scale_weight' is [1, 32]", "each row or square block of [64, 32]"));
}

TEST(MigratePlan, Older_scale_of_another_type_is_called_as_the_file_calls_it) {
  const ModelIndex model = model_of({{"a.weight", Dtype::F8_E4M3, {64, 32}}, {"a.scale_weight", Dtype::BF16, {1}}});
  EXPECT_THAT([&] { (void)build_migrate_plan(model, {}, {}, {}); },
              fails_with(ErrorKind::bad_quantization, "'a'", "'.scale_weight'", "not BF16 [1]"));
}

TEST(MigratePlan, A_marker_goes_whatever_its_size) {
  std::vector<TensorInfo> tensors = kLegacy;
  tensors[2].shape = {3};
  EXPECT_EQ(output_of(build_migrate_plan(model_of(tensors), {}, {}, {}), "scaled_fp8"), nullptr);
}

TEST(MigratePlan, Codes_without_their_own_description_keep_their_layout) {
  const ModelIndex model =
      model_of({{"a.weight", Dtype::U8, {1024, 1}}, {"a.weight.absmax", Dtype::F32, {32}}, {"a.comfy_quant", Dtype::U8, {1}}});
  const SideTexts texts = {{"a.comfy_quant", R"({"format": "bnb_nf4", "group_size": 64, "orig_shape": [64, 32]})"}};
  EXPECT_THAT([&] { (void)build_migrate_plan(model, texts, {}, {.container = Container::bnb}); },
              fails_with(ErrorKind::bad_quantization, "'a'", "quant_state"));
}

TEST(MigratePlan, Model_without_quantized_layers_is_up_to_date) {
  const Plan plan = build_migrate_plan(model_of({bf16("a.weight", {4, 4})}), {}, {}, {});
  EXPECT_TRUE(plan.up_to_date);
  EXPECT_TRUE(plan.changes.empty());
}

TEST(MigratePlan, Scale_of_a_plain_weight_goes_where_it_is_one) {
  std::vector<TensorInfo> tensors = kLegacy;
  tensors.push_back({"norm.scale_weight", Dtype::F32, {}});
  const ModelIndex model = model_of(tensors);
  EXPECT_EQ(output_of(build_migrate_plan(model, {}, {{"norm.scale_weight", 1.0F}}, {}), "norm.scale_weight"), nullptr);
  EXPECT_THAT(
      [&] {
        (void)build_migrate_plan(model, {}, {{"norm.scale_weight", 2.0F}}, {});
      },
      fails_with(ErrorKind::bad_quantization, "norm.weight", "of 2"));
}

TEST(MigratePlan, Option_that_no_layer_heeds_is_refused) {
  const ModelIndex model = model_of({bf16("a.weight", {4, 4})});
  EXPECT_THAT([&] { (void)build_migrate_plan(model, {}, {}, {.input_scale = Presence::add}); },
              fails_with(ErrorKind::usage, "--input-scale"));
  EXPECT_THAT([&] { (void)build_migrate_plan(model, {}, {}, {.hybrid = Presence::remove}); }, fails_with(ErrorKind::usage, "--hybrid"));
  EXPECT_THAT([&] { (void)build_migrate_plan(model, {}, {}, {.container = Container::ctq}); }, fails_with(ErrorKind::usage, "--container"));
}

TEST(Recoding, Every_byte_comes_back) {
  for (const char* name : {"nf4", "fp4"}) {
    const FormatDescriptor& ctq = format_named(name);
    const FormatDescriptor& bnb = *formats::in_layout(ctq, true);
    EXPECT_EQ(formats::in_layout(bnb, false), &ctq);
    const auto there = formats::recoding(ctq, bnb);
    const auto back = formats::recoding(bnb, ctq);
    for (std::size_t byte = 0; byte < 256; ++byte) {
      EXPECT_EQ(std::to_integer<std::size_t>(back.bytes[std::to_integer<std::size_t>(there.bytes[byte])]), byte) << name;
    }
    EXPECT_EQ(back.bytes[std::to_integer<std::size_t>(there.filling)], back.filling) << name;
  }
}

TEST(Recoding, Example_of_both_layouts) {
  // Eight weights of a block whose largest magnitude is 0.5: 0.5 -0.25 0.1 0 -0.5 0.03 0.33 -0.02.
  const auto recoded = [](const char* name, const std::vector<std::uint8_t>& codes) {
    const FormatDescriptor& ctq = format_named(name);
    std::vector<int> result;
    for (const std::uint8_t byte : codes)
      result.push_back(std::to_integer<int>(formats::recoding(ctq, *formats::in_layout(ctq, true)).bytes[byte]));
    return result;
  };
  EXPECT_THAT(recoded("nf4", {0x2F, 0x79, 0x80, 0x7E}), testing::ElementsAre(0xF2, 0x97, 0x08, 0xE7));
  EXPECT_THAT(recoded("fp4", {0xD7, 0x02, 0x1F, 0x96}), testing::ElementsAre(0x3D, 0x60, 0xB1, 0x29));
}

TEST(Recoding, Other_formats_have_no_second_layout) { EXPECT_EQ(formats::in_layout(format_named("nvfp4"), true), nullptr); }

}  // namespace
}  // namespace halftone
