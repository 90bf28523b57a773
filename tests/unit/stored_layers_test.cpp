#include "formats/stored_layers.hpp"

#include <cstdlib>

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone::formats {
namespace {

using test::fails_with;
using test::model_of;
using testing::ElementsAre;

const std::vector<TensorInfo> kInt8Layer = {
    {"a.weight", Dtype::I8, {4, 8}}, {"a.weight_scale", Dtype::F32, {}}, {"a.comfy_quant", Dtype::U8, {29}}};
const SideTexts kInt8Text = {{"a.comfy_quant", R"({"format": "int8_tensorwise"})"}};

/// `_quantization_metadata` with `json` for the layer "a".
Metadata header_entry(const std::string& json) {
  return {{"_quantization_metadata", R"({"format_version": "1.0", "layers": {"a": )" + json + "}}"}};
}

TEST(FindQuantizedLayers, Layer_with_a_comfy_quant_tensor_is_found) {
  const ModelIndex model = model_of(kInt8Layer);
  const auto layers = find_quantized_layers(model, kInt8Text);
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers[0].base, "a");
  EXPECT_EQ(layers[0].format_text, "int8_tensorwise");
  EXPECT_EQ(layers[0].weight->info.name, "a.weight");
  ASSERT_TRUE(layers[0].readable);
  EXPECT_EQ(layers[0].readable->tensor_scale->info.name, "a.weight_scale");
  EXPECT_EQ(layers[0].readable->spec.format->name(), "int8");
}

TEST(FindQuantizedLayers, Model_without_any_has_none) {
  const ModelIndex model = model_of({test::bf16("a.weight", {4, 4}), {"b.weight", Dtype::I8, {4, 4}}});
  EXPECT_TRUE(find_quantized_layers(model, {}).empty());
}

TEST(FindQuantizedLayers, Plain_fp8_weight_is_a_cast) {
  const ModelIndex model = model_of({{"a.weight", Dtype::F8_E4M3, {4, 4}}, {"b.weight", Dtype::F8_E5M2, {4, 4}}});
  const auto layers = find_quantized_layers(model, {});
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].format_text, "F8_E4M3");
  ASSERT_TRUE(layers[0].readable);
  EXPECT_EQ(layers[0].readable->spec.format->name(), "fp8-cast");
  EXPECT_FALSE(layers[1].readable) << "no format casts to E5M2";
}

TEST(FindQuantizedLayers, Scale_of_the_older_layout_makes_no_plain_cast) {
  const ModelIndex model =
      model_of({{"a.weight", Dtype::F8_E4M3, {4, 4}}, {"a.scale_weight", Dtype::F32, {}}, {"a.scale_input", Dtype::F32, {}}});
  const auto layers = find_quantized_layers(model, {});
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers[0].format_text, "scaled_fp8");
  ASSERT_TRUE(layers[0].readable);
  EXPECT_EQ(layers[0].readable->spec.format->name(), "fp8") << "a plain cast would ignore its scale";
  EXPECT_EQ(layers[0].readable->tensor_scale->info.name, "a.scale_weight");
  EXPECT_THAT(layers[0].companions, testing::UnorderedElementsAre("a.scale_weight", "a.scale_input"));
}

TEST(FindQuantizedLayers, Scales_of_the_older_layout_that_no_format_has_are_not_ignored) {
  for (const Shape& shape : {Shape{4, 2, 1}, Shape{3}, Shape{2, 1}}) {
    const ModelIndex model = model_of({{"a.weight", Dtype::F8_E4M3, {4, 8}}, {"a.scale_weight", Dtype::F32, shape}});
    const auto layers = find_quantized_layers(model, {});
    ASSERT_EQ(layers.size(), 1U);
    EXPECT_FALSE(layers[0].readable) << to_string(shape) << " would be read as a plain cast";
    EXPECT_EQ(layers[0].format_text, "scaled_fp8");
  }
}

/// The format in which an INT8 weight of 4 × 8 without a label is read that has a scale of this name and shape.
std::string unlabelled_int8(const std::string& scale, const Shape& shape) {
  const ModelIndex model = model_of({{"a.weight", Dtype::I8, {4, 8}}, {scale, Dtype::F32, shape}});
  const auto layers = find_quantized_layers(model, {});
  if (layers.empty()) return "none";
  EXPECT_EQ(layers[0].format_text, "scaled_int8");
  return layers[0].format_name();
}

TEST(FindQuantizedLayers, Int8_without_a_label_is_told_by_the_shape_of_its_scales) {
  for (const char* scale : {"a.scale_weight", "a.weight_scale"}) {
    EXPECT_EQ(unlabelled_int8(scale, {}), "int8");
    EXPECT_EQ(unlabelled_int8(scale, {1}), "int8");
    EXPECT_EQ(unlabelled_int8(scale, {4, 1}), "int8-row");
    EXPECT_EQ(unlabelled_int8(scale, {2, 4}), "int8-block");
    EXPECT_EQ(unlabelled_int8(scale, {3, 3}), "scaled_int8");
  }
  EXPECT_EQ(unlabelled_int8("a.scale_weight", {4}), "int8-row");
  EXPECT_EQ(unlabelled_int8("a.weight_scale", {4}), "none") << "rotated INT4 stores its scales like that";
}

TEST(FindQuantizedLayers, Companions_are_every_tensor_of_the_layer) {
  std::vector<TensorInfo> tensors = kInt8Layer;
  tensors.push_back({"a.input_scale", Dtype::F32, {}});
  tensors.push_back({"a.bias", Dtype::BF16, {4}});
  const ModelIndex model = model_of(tensors);
  EXPECT_THAT(find_quantized_layers(model, kInt8Text)[0].companions,
              testing::UnorderedElementsAre("a.weight_scale", "a.input_scale", "a.comfy_quant"));
}

TEST(FindQuantizedLayers, Header_entry_overrides_the_tensor) {
  const ModelIndex model = model_of(kInt8Layer, header_entry(R"({"format": "int8_blockwise", "group_size": 64})"));
  const auto layers = find_quantized_layers(model, kInt8Text);
  EXPECT_EQ(layers[0].format_text, "int8_blockwise");
  EXPECT_FALSE(layers[0].readable);
}

TEST(FindQuantizedLayers, Header_entry_alone_is_enough) {
  const ModelIndex model =
      model_of({{"a.weight", Dtype::F8_E4M3, {4, 4}}, {"a.weight_scale", Dtype::F32, {}}}, header_entry(R"({"format": "float8_e4m3fn"})"));
  EXPECT_EQ(find_quantized_layers(model, {})[0].readable->spec.format->name(), "fp8");
}

TEST(FindQuantizedLayers, Unknown_format_cannot_be_read) {
  const ModelIndex model = model_of(kInt8Layer);
  const auto layers = find_quantized_layers(model, {{"a.comfy_quant", R"({"format": "nvfp9"})"}});
  EXPECT_EQ(layers[0].format_text, "nvfp9");
  EXPECT_FALSE(layers[0].readable);
}

TEST(FindQuantizedLayers, Rotated_layer_with_another_scale_cannot_be_read) {
  const ModelIndex model = model_of(kInt8Layer);
  EXPECT_FALSE(find_quantized_layers(model, {{"a.comfy_quant", R"({"format": "int8_tensorwise", "convrot": true})"}})[0].readable);
}

TEST(FindQuantizedLayers, Text_without_a_weight_is_ignored) {
  EXPECT_TRUE(find_quantized_layers(model_of({{"a.comfy_quant", Dtype::U8, {29}}}), kInt8Text).empty());
}

TEST(FindQuantizedLayers, Broken_text_is_refused) {
  const ModelIndex model = model_of(kInt8Layer);
  for (const char* text : {"", "{", "[]", "5", "{}", R"({"format": 5})", R"({"format": null})"}) {
    EXPECT_THAT(
        [&] {
          (void)find_quantized_layers(model, {{"a.comfy_quant", text}});
        },
        fails_with(ErrorKind::bad_quantization, "'a'"))
        << text;
  }
}

TEST(FindQuantizedLayers, Broken_text_may_be_told_instead) {
  const ModelIndex model = model_of(kInt8Layer, header_entry("5"));
  std::vector<std::string> told;
  const auto layers =
      find_quantized_layers(model, {{"a.comfy_quant", "{"}}, [&](const std::string& layer, const Error&) { told.push_back(layer); });
  EXPECT_THAT(told, ElementsAre("a", "a"));
  EXPECT_TRUE(layers.empty()) << "nothing describes the layer then";
}

TEST(FindQuantizedLayers, Rotation_group_beyond_all_powers_is_refused) {
  const ModelIndex model = model_of(kInt8Layer);
  const SideTexts texts = {{"a.comfy_quant", R"({"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 4294967295})"}};
  EXPECT_FALSE(find_quantized_layers(model, texts)[0].readable);
}

TEST(FindQuantizedLayers, Block_that_is_too_large_to_hold_is_refused) {
  const ModelIndex model = model_of({{"a.weight", Dtype::U8, {4096, 1}}, {"a.weight.absmax", Dtype::F32, {1}}});
  const SideTexts texts = {
      {"a.weight.quant_state.bitsandbytes__nf4", R"({"quant_type": "nf4", "blocksize": 8192, "dtype": "bfloat16", "shape": [64, 128]})"}};
  EXPECT_THAT(find_quantized_layers(model, texts)[0].contradiction, testing::HasSubstr("'blocksize' of at most 4096, not 8192"));
}

TEST(FindQuantizedLayers, Full_precision_is_read) {
  const SideTexts texts = {{"a.comfy_quant", R"({"format": "int8_tensorwise", "full_precision_matrix_mult": true})"}};
  const ModelIndex model = model_of(kInt8Layer);
  EXPECT_TRUE(find_quantized_layers(model, texts)[0].readable->spec.full_precision_mm);
  EXPECT_FALSE(find_quantized_layers(model, kInt8Text)[0].readable->spec.full_precision_mm);
}

TEST(FindQuantizedLayers, Scale_of_the_older_layout_that_fits_nothing_makes_no_plain_cast) {
  const ModelIndex model = model_of({{"a.weight", Dtype::F8_E4M3, {4, 4}}, {"a.scale_weight", Dtype::F32, {4, 2, 1}}});
  EXPECT_FALSE(find_quantized_layers(model, {})[0].readable);
}

TEST(FindQuantizedLayers, Rotation_flag_of_another_type_is_refused) {
  const ModelIndex model = model_of(kInt8Layer);
  for (const char* flag : {"1", "\"yes\"", "{}"}) {
    const std::string text = R"({"format": "int8_tensorwise", "convrot": )" + std::string(flag) + "}";
    EXPECT_THAT(
        [&] {
          (void)find_quantized_layers(model, {{"a.comfy_quant", text}});
        },
        fails_with(ErrorKind::bad_quantization, "'a'"))
        << flag;
  }
}

TEST(FindQuantizedLayers, Sizes_that_are_none_are_refused_by_name) {
  const ModelIndex model = model_of({{"a.weight", Dtype::I8, {64, 128}}, {"a.weight_scale", Dtype::F32, {1, 2}}});
  // The last is 2^32 + 64, which must not wrap.
  for (const char* size : {"0", "-1", "1.5", "\"64\"", "null", "4294967360"}) {
    for (const char* key : {"group_size", "convrot_groupsize"}) {
      const std::string text = std::string(R"({"format": "asym_w4a8_int8", ")") + key + "\": " + size + "}";
      EXPECT_THAT(
          [&] {
            (void)find_quantized_layers(model, {{"a.comfy_quant", text}});
          },
          fails_with(ErrorKind::bad_quantization, std::string("'") + key + "'", "'a'", size))
          << text;
    }
  }
}

// In a child process, because the failure to guard against is a stack overflow.
TEST(StoredLayersDeathTest, Deeply_nested_header_entry_does_not_overflow_the_stack) {
  const std::size_t depth = 1'000'000;
  const std::string deep = std::string(depth, '[') + std::string(depth, ']');
  const ModelIndex model = model_of(kInt8Layer, header_entry(R"({"format": "int8_tensorwise", "x": )" + deep + "}"));
  const auto read = [&] {
    try {
      (void)find_quantized_layers(model, {});
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::bad_quantization) std::exit(1);
    }
    std::exit(0);
  };
  EXPECT_EXIT(read(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace halftone::formats
