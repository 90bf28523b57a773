#include <gmock/gmock.h>

#include "support/format_spec.hpp"
#include "unit/tiny_model.hpp"
#include "verify/comfyui.hpp"
#include "verify/contents.hpp"
#include "verify/labels.hpp"
#include "verify/layers.hpp"

namespace halftone::verify {
namespace {

using test::model_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string kFp8 = R"({"format": "float8_e4m3fn"})";

/// A layer "a" in fp8 of this shape.
std::vector<TensorInfo> fp8_layer(const Shape& shape) {
  return {{"a.weight", Dtype::F8_E4M3, shape}, {"a.weight_scale", Dtype::F32, {}}, {"a.comfy_quant", Dtype::U8, {kFp8.size()}}};
}

/// The findings of this severity about headers and texts, as "layer: text".
std::vector<std::string> found(const ModelIndex& model, const SideTexts& texts, Finding::Severity severity) {
  Findings findings;
  const Contents contents(model, texts, findings);
  check_labels(contents, findings);
  check_layers(contents, findings);
  check_strays(contents, findings);
  check_comfyui(contents, findings);
  note_slow_layers(contents, findings);
  std::vector<std::string> lines;
  for (const Finding& finding : findings.all()) {
    if (finding.severity == severity) lines.push_back(finding.layer + ": " + finding.text);
  }
  return lines;
}

std::vector<std::string> problems(const std::vector<TensorInfo>& tensors, const SideTexts& texts, const Metadata& metadata = {}) {
  return found(model_of(tensors, metadata), texts, Finding::Severity::problem);
}

TEST(VerifyRules, Layer_as_it_is_written_has_no_problem) {
  EXPECT_THAT(problems(fp8_layer({32, 64}), {{"a.comfy_quant", kFp8}}), IsEmpty());
}

TEST(VerifyRules, Every_format_of_comfyui_passes_with_the_tensors_that_it_writes) {
  for (const FormatDescriptor* format : all_formats()) {
    const QuantSpec spec = test::default_spec(*format);
    std::vector<TensorInfo> tensors;
    SideTexts texts;
    for (const LayerTensor& tensor : format->outputs({.name = "a.weight", .dtype = Dtype::BF16, .shape = {256, 512}}, spec)) {
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape});
      if (is_description(tensor.name)) texts.emplace(tensor.name, tensor.bytes);
    }
    const auto lines = problems(tensors, texts);
    if (format->facts().needs_custom_node) {
      EXPECT_THAT(lines, ElementsAre(HasSubstr("not by ComfyUI alone"))) << format->name();
    } else {
      EXPECT_THAT(lines, IsEmpty()) << format->name();
    }
  }
}

TEST(VerifyRules, Plain_casts_of_any_shape_have_no_problem) {
  EXPECT_THAT(
      problems({{"a.weight", Dtype::F8_E4M3, {7}}, {"b.weight", Dtype::F8_E4M3, {}}, {"c.weight", Dtype::F8_E4M3, {2, 3, 4, 4}}}, {}),
      IsEmpty());
}

TEST(VerifyRules, Every_broken_text_is_reported_with_its_layer) {
  std::vector<TensorInfo> tensors = fp8_layer({32, 64});
  tensors.push_back({"b.weight", Dtype::I8, {16, 16}});
  tensors.push_back({"b.comfy_quant", Dtype::U8, {1}});
  EXPECT_THAT(problems(tensors, {{"a.comfy_quant", "{"}, {"b.comfy_quant", "5"}}), ElementsAre(HasSubstr("a: "), HasSubstr("b: ")));
}

TEST(VerifyRules, Nested_keys_of_older_labels_are_known) {
  const SideTexts old = {{"a.comfy_quant", R"({"format": "float8_e4m3fn", "params": {"group_size": 64}})"}};
  EXPECT_THAT(problems(fp8_layer({32, 64}), old), IsEmpty());
  const SideTexts odd = {{"a.comfy_quant", R"({"format": "float8_e4m3fn", "params": {"colour": 64}})"}};
  EXPECT_THAT(problems(fp8_layer({32, 64}), odd), ElementsAre(HasSubstr("'colour'")));
}

TEST(VerifyRules, Sides_that_the_product_does_not_take_need_full_precision) {
  EXPECT_THAT(problems(fp8_layer({130, 64}), {{"a.comfy_quant", kFp8}}), ElementsAre(HasSubstr("divisible by 16")));
  const SideTexts full = {{"a.comfy_quant", R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})"}};
  EXPECT_THAT(problems(fp8_layer({130, 64}), full), IsEmpty());
}

TEST(VerifyRules, Header_must_agree_with_the_label) {
  const SideTexts texts = {{"a.comfy_quant", kFp8}};
  const auto header = [](const std::string& json) { return Metadata{{"_quantization_metadata", R"({"layers": {"a": )" + json + "}}"}}; };
  EXPECT_THAT(problems(fp8_layer({32, 64}), texts, header(kFp8)), IsEmpty());
  EXPECT_THAT(problems(fp8_layer({32, 64}), texts, header(R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})")),
              ElementsAre(HasSubstr("follows the header")));
}

TEST(VerifyRules, Older_layout_needs_a_marker_of_its_prefix) {
  std::vector<TensorInfo> tensors = {{"m.a.weight", Dtype::F8_E4M3, {32, 64}}, {"m.a.scale_weight", Dtype::F32, {}}};
  EXPECT_THAT(problems(tensors, {}), ElementsAre(HasSubstr("'scaled_fp8' marks")));
  tensors.push_back({"n.scaled_fp8", Dtype::F8_E4M3, {2}});
  EXPECT_THAT(problems(tensors, {}), ElementsAre(HasSubstr("'scaled_fp8' marks")));
  tensors.push_back({"m.scaled_fp8", Dtype::F8_E4M3, {0}});
  EXPECT_THAT(problems(tensors, {}), IsEmpty());
}

TEST(VerifyRules, Marker_of_two_elements_means_full_precision) {
  const auto with_marker = [](std::uint64_t elements) {
    return problems(
        {{"a.weight", Dtype::F8_E4M3, {130, 64}}, {"a.scale_weight", Dtype::F32, {}}, {"scaled_fp8", Dtype::F8_E4M3, {elements}}}, {});
  };
  EXPECT_THAT(with_marker(2), IsEmpty());
  EXPECT_THAT(with_marker(0), ElementsAre(HasSubstr("divisible by 16")));
}

TEST(VerifyRules, Scale_of_the_older_layout_that_fits_nothing_is_a_problem) {
  EXPECT_THAT(
      problems({{"a.weight", Dtype::F8_E4M3, {32, 64}}, {"a.scale_weight", Dtype::F32, {32, 2, 1}}, {"scaled_fp8", Dtype::F8_E4M3, {0}}},
               {}),
      Not(IsEmpty()));
}

TEST(VerifyRules, Dummy_scale_of_the_older_layout_is_a_note) {
  const ModelIndex model = model_of({test::bf16("a.weight", {32, 64}), {"a.scale_weight", Dtype::F32, {}}});
  EXPECT_THAT(found(model, {}, Finding::Severity::problem), IsEmpty());
  EXPECT_THAT(found(model, {}, Finding::Severity::note), ElementsAre(HasSubstr("a.scale_weight")));
}

}  // namespace
}  // namespace halftone::verify
