#include "formats/scaled_format.hpp"

#include <gmock/gmock.h>

#include "formats/stored_layers.hpp"
#include "support/format_spec.hpp"
#include "unit/tiny_model.hpp"

namespace halftone::formats {
namespace {

QuantSpec spec_of(std::string_view name, std::uint32_t block_size = 0) { return {&format_named(name), block_size, false, false}; }

TensorInfo weight(std::uint64_t rows, std::uint64_t columns) { return {"blocks.0.fc.weight", Dtype::BF16, {rows, columns}}; }

struct SidecarRow {
  const char* format;
  std::uint32_t block_size;
  bool full_precision_mm;
  const char* text;
  std::size_t n_bytes;
};

// Table 3.1 of formats.md, for the formats that exist.
constexpr SidecarRow kSidecars[] = {
    {"fp8", 0, false, R"({"format": "float8_e4m3fn"})", 27},
    {"fp8", 0, true, R"({"format": "float8_e4m3fn", "full_precision_matrix_mult": true})", 63},
    {"fp8-row", 0, false, R"({"format": "float8_e4m3fn_rowwise"})", 35},
    {"fp8-block", 128, false, R"({"format": "float8_e4m3fn_blockwise", "group_size": 128})", 56},
    {"fp8-e5m2", 0, false, R"({"format": "float8_e5m2"})", 25},
    {"int8", 0, false, R"({"format": "int8_tensorwise"})", 29},
    {"int8-row", 0, false, R"({"format": "int8_tensorwise", "per_row": true})", 46},
    {"int8-block", 128, false, R"({"format": "int8_blockwise", "group_size": 128})", 47},
};

TEST(SidecarJson, Texts_and_lengths_are_those_of_the_reference) {
  for (const SidecarRow& row : kSidecars) {
    QuantSpec spec = spec_of(row.format, row.block_size);
    spec.full_precision_mm = row.full_precision_mm;
    const std::string text = spec.format->sidecar_json(weight(2, 3), spec);
    EXPECT_EQ(text, row.text);
    EXPECT_EQ(text.size(), row.n_bytes) << text;
  }
}

TEST(SidecarJson, Keys_stand_in_the_order_of_the_reference) {
  QuantSpec block = spec_of("int8-block", 64);
  QuantSpec row = spec_of("int8-row");
  block.full_precision_mm = row.full_precision_mm = true;
  EXPECT_EQ(block.format->sidecar_json(weight(2, 3), block),
            R"({"format": "int8_blockwise", "group_size": 64, "full_precision_matrix_mult": true})");
  EXPECT_EQ(row.format->sidecar_json(weight(2, 3), row),
            R"({"format": "int8_tensorwise", "full_precision_matrix_mult": true, "per_row": true})");
}

TEST(SidecarJson, Plain_cast_has_none) { EXPECT_EQ(format_named("fp8-cast").sidecar_json(weight(2, 3), spec_of("fp8-cast")), ""); }

std::optional<Shape> scale_shape(const Shape& weight, const QuantSpec& spec) {
  return dynamic_cast<const ScaledFormat&>(*spec.format).scale_shape(weight, spec);
}

TEST(ScaleShape, Follows_the_grid) {
  const auto shape = [](const QuantSpec& spec) { return scale_shape({256, 384}, spec); };
  EXPECT_EQ(shape(spec_of("fp8")), Shape{});
  EXPECT_EQ(shape(spec_of("fp8-row")), Shape{256});
  EXPECT_EQ(shape(spec_of("fp8-block", 128)), (Shape{2, 3}));
  EXPECT_EQ(shape(spec_of("fp8-block", 64)), (Shape{4, 6}));
  EXPECT_EQ(shape(spec_of("fp8-e5m2")), Shape{});
  EXPECT_EQ(shape(spec_of("fp8-cast")), std::nullopt);
  EXPECT_EQ(shape(spec_of("int8")), Shape{});
  EXPECT_EQ(shape(spec_of("int8-row")), (Shape{256, 1})) << "the loader broadcasts a one-dimensional scale along columns";
  EXPECT_EQ(shape(spec_of("int8-block", 128)), (Shape{2, 3}));
}

TEST(ScaleShape, Single_scale_is_squeezed) {
  const auto shape = [](const QuantSpec& spec, const Shape& of) { return scale_shape(of, spec); };
  EXPECT_EQ(shape(spec_of("fp8-row"), {1, 384}), Shape{});
  EXPECT_EQ(shape(spec_of("int8-row"), {1, 384}), Shape{});
  EXPECT_EQ(shape(spec_of("fp8-block", 64), {64, 64}), Shape{});
  EXPECT_EQ(shape(spec_of("int8-block", 128), {128, 128}), Shape{});
  EXPECT_EQ(shape(spec_of("fp8-block", 64), {64, 128}), (Shape{1, 2}));
}

TEST(Outputs, Names_types_and_contents_of_a_layer) {
  const QuantSpec spec = spec_of("fp8");
  const auto outputs = spec.format->outputs(weight(130, 80), spec);
  ASSERT_EQ(outputs.size(), 3U);
  EXPECT_EQ(outputs[0].name, "blocks.0.fc.weight");
  EXPECT_EQ(outputs[0].dtype, Dtype::F8_E4M3);
  EXPECT_EQ(outputs[0].shape, (Shape{130, 80}));
  EXPECT_EQ(outputs[1].name, "blocks.0.fc.weight_scale");
  EXPECT_EQ(outputs[1].dtype, Dtype::F32);
  EXPECT_EQ(outputs[2].name, "blocks.0.fc.comfy_quant");
  EXPECT_EQ(outputs[2].dtype, Dtype::U8);
  EXPECT_EQ(outputs[2].shape, Shape{27});
  EXPECT_EQ(outputs[2].bytes, R"({"format": "float8_e4m3fn"})");
}

TEST(Outputs, Codes_have_the_type_of_the_format) {
  const auto dtype = [](const char* name) { return format_named(name).facts().code_dtype; };
  for (const char* name : {"fp8", "fp8-row", "fp8-block", "fp8-cast"}) EXPECT_EQ(dtype(name), Dtype::F8_E4M3) << name;
  for (const char* name : {"int8", "int8-row", "int8-block"}) EXPECT_EQ(dtype(name), Dtype::I8) << name;
  EXPECT_EQ(dtype("fp8-e5m2"), Dtype::F8_E5M2);
}

TEST(Outputs, Plain_cast_is_one_tensor) {
  const auto outputs = format_named("fp8-cast").outputs(weight(2, 3), spec_of("fp8-cast"));
  ASSERT_EQ(outputs.size(), 1U);
  EXPECT_EQ(outputs[0].role, Role::codes);
}

TEST(Outputs, Input_scale_of_one_is_written_on_request) {
  QuantSpec spec = spec_of("fp8");
  spec.input_scale = true;
  const LayerTensor last = spec.format->outputs(weight(2, 3), spec).back();
  EXPECT_EQ(last.role, Role::constant);
  EXPECT_EQ(last.name, "blocks.0.fc.input_scale");
  EXPECT_EQ(last.shape, Shape{});
  EXPECT_EQ(last.bytes, std::string("\0\0\x80\x3F", 4));
}

TEST(Outputs, Int8_block_always_has_an_input_scale) {
  const QuantSpec spec = spec_of("int8-block", 128);
  EXPECT_EQ(spec.format->outputs(weight(128, 128), spec).back().name, "blocks.0.fc.input_scale");
}

TEST(Accepts, Block_size_must_divide_both_dimensions) {
  const QuantSpec spec = spec_of("fp8-block", 64);
  EXPECT_TRUE(spec.format->accepts(weight(64, 128), spec));
  EXPECT_THAT(spec.format->accepts(weight(130, 128), spec).reason, testing::HasSubstr("130 rows"));
  EXPECT_THAT(spec.format->accepts(weight(128, 80), spec).reason, testing::HasSubstr("80 columns"));
}

TEST(Accepts, Formats_without_blocks_take_every_shape) {
  for (const FormatDescriptor* format : all_formats()) {
    if (format->grid() == ScaleGrid::block || !format->facts().rotation_groups.empty()) continue;
    EXPECT_TRUE(format->accepts(weight(131, 7), test::default_spec(*format))) << format->name();
  }
}

/// The layer that `format` writes for `weight`, as a reader meets it.
class WrittenLayer {
 public:
  WrittenLayer(const TensorInfo& source, const QuantSpec& spec) {
    std::vector<TensorInfo> tensors;
    for (const LayerTensor& out : spec.format->outputs(source, spec)) {
      tensors.push_back({out.name, out.dtype, out.shape});
      if (out.name.ends_with(".comfy_quant") || out.name.find(".quant_state.") != std::string::npos) texts_.emplace(out.name, out.bytes);
    }
    model_ = test::model_of(tensors);
    layers_ = find_quantized_layers(model_, texts_);
  }
  /// How it is read; nothing where no format claims it.
  [[nodiscard]] const std::optional<ReadableLayer>& read() const { return layers_.at(0).readable; }

 private:
  SideTexts texts_;
  ModelIndex model_;
  std::vector<QuantizedLayer> layers_;
};

TEST(Recognise, Every_format_knows_its_own_outputs) {
  for (const FormatDescriptor* format : all_formats()) {
    for (const std::uint64_t rows : {1U, 128U, 256U, 130U}) {
      if (format->grid() == ScaleGrid::block && rows % 128 != 0) continue;
      const QuantSpec spec = test::default_spec(*format);
      const WrittenLayer layer(weight(rows, 256), spec);
      ASSERT_TRUE(layer.read()) << format->name() << " " << rows;
      const QuantSpec& found = layer.read()->spec;
      const bool same = found.format == format || (rows == 1 && found.format->name() == "int8");
      EXPECT_TRUE(same) << format->name() << " read as " << found.format->name();
      EXPECT_EQ(layer.read()->shape, (Shape{rows, 256}));
      if (found.format != format) continue;
      EXPECT_EQ(found.block_size, spec.block_size);
      EXPECT_EQ(found.rotation_group, spec.rotation_group);
    }
  }
}

TEST(Recognise, One_dimensional_scale_of_one_element_counts_as_squeezed) {
  const TensorInfo codes{"a.weight", Dtype::F8_E4M3, {4, 4}};
  const TensorInfo scale{"a.weight_scale", Dtype::F32, {1}};
  EXPECT_TRUE(
      format_named("fp8").recognise({.comfy_format = "float8_e4m3fn", .weight = &codes, .companions = {{".weight_scale", &scale}}}).stored);
}

TEST(Recognise, Contradicting_layer_is_not_claimed) {
  const TensorInfo codes{"a.weight", Dtype::F8_E4M3, {128, 128}};
  const TensorInfo wrong_type{"a.weight", Dtype::I8, {128, 128}};
  const TensorInfo scale{"a.weight_scale", Dtype::F32, {}};
  const TensorInfo half_scale{"a.weight_scale", Dtype::BF16, {}};
  const TensorInfo row_scales{"a.weight_scale", Dtype::F32, {128}};
  const FormatDescriptor& fp8 = format_named("fp8");
  const std::string_view label = "float8_e4m3fn";
  EXPECT_TRUE(fp8.recognise({.comfy_format = label, .weight = &codes, .companions = {{".weight_scale", &scale}}}).stored);
  EXPECT_FALSE(fp8.recognise({.comfy_format = "nvfp4", .weight = &codes, .companions = {{".weight_scale", &scale}}}).stored);
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &wrong_type, .companions = {{".weight_scale", &scale}}}).stored);
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &codes, .companions = {{".weight_scale", &half_scale}}}).stored);
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &codes, .companions = {{".weight_scale", &row_scales}}}).stored);
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &codes, .companions = {}}).stored);
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .rotated = true, .weight = &codes, .companions = {{".weight_scale", &scale}}}).stored);
}

TEST(Recognise, Contradiction_names_what_was_expected) {
  const TensorInfo codes{"a.weight", Dtype::F8_E4M3, {128, 128}};
  const TensorInfo scales{"a.weight_scale", Dtype::F32, {4}};
  const StoredLayer layer{.comfy_format = "float8_e4m3fn", .weight = &codes, .companions = {{".weight_scale", &scales}}};
  EXPECT_THAT(format_named("fp8").recognise(layer).contradiction,
              testing::AllOf(testing::HasSubstr("F32 []"), testing::HasSubstr("F32 [4]")));
}

TEST(Recognise, Rotation_group_that_is_no_power_of_four_is_refused) {
  const TensorInfo codes{"a.weight", Dtype::I8, {2, 1024}};
  const TensorInfo scales{"a.weight_scale", Dtype::F32, {2, 1}};
  for (const std::uint32_t size : {0U, 2U, 8U, 128U, 512U, 16384U}) {
    const StoredLayer layer{.comfy_format = "int8_tensorwise",
                            .rotated = true,
                            .rotation_group = size,
                            .weight = &codes,
                            .companions = {{".weight_scale", &scales}}};
    EXPECT_FALSE(format_named("int8-convrot").recognise(layer).stored) << size;
    EXPECT_FALSE(format_named("int8-row").recognise(layer).stored) << size;
  }
}

TEST(Recognise, Block_layer_needs_a_group_size_that_fits) {
  const TensorInfo codes{"a.weight", Dtype::I8, {128, 256}};
  const TensorInfo scales{"a.weight_scale", Dtype::F32, {2, 4}};
  const FormatDescriptor& format = format_named("int8-block");
  EXPECT_TRUE(
      format.recognise({.comfy_format = "int8_blockwise", .group_size = 64, .weight = &codes, .companions = {{".weight_scale", &scales}}})
          .stored);
  for (const std::uint32_t size : {0U, 100U, 128U}) {
    EXPECT_FALSE(
        format
            .recognise({.comfy_format = "int8_blockwise", .group_size = size, .weight = &codes, .companions = {{".weight_scale", &scales}}})
            .stored)
        << size;
  }
}

}  // namespace
}  // namespace halftone::formats
