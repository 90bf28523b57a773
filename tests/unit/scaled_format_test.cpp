#include "formats/scaled_format.hpp"

#include <gmock/gmock.h>

namespace halftone::formats {
namespace {

QuantSpec spec_of(std::string_view name, std::uint32_t block_size = 0) { return {&format_named(name), block_size, false, false}; }

/// A spec that `format` takes.
QuantSpec any_spec(const FormatDescriptor& format) {
  const auto sizes = format.block_sizes();
  return {&format, sizes.empty() ? 0 : sizes.front(), false, false};
}

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
    const std::string text = spec.format->sidecar_json(spec);
    EXPECT_EQ(text, row.text);
    EXPECT_EQ(text.size(), row.n_bytes) << text;
  }
}

TEST(SidecarJson, Keys_stand_in_the_order_of_the_reference) {
  QuantSpec block = spec_of("int8-block", 64);
  QuantSpec row = spec_of("int8-row");
  block.full_precision_mm = row.full_precision_mm = true;
  EXPECT_EQ(block.format->sidecar_json(block), R"({"format": "int8_blockwise", "group_size": 64, "full_precision_matrix_mult": true})");
  EXPECT_EQ(row.format->sidecar_json(row), R"({"format": "int8_tensorwise", "full_precision_matrix_mult": true, "per_row": true})");
}

TEST(SidecarJson, Plain_cast_has_none) { EXPECT_EQ(format_named("fp8-cast").sidecar_json(spec_of("fp8-cast")), ""); }

TEST(ScaleShape, Follows_the_grid) {
  const auto shape = [](const QuantSpec& spec) { return spec.format->scale_shape({256, 384}, spec); };
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
  const auto shape = [](const QuantSpec& spec, const Shape& of) { return spec.format->scale_shape(of, spec); };
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
  const auto dtype = [](const char* name) { return format_named(name).code_dtype(); };
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
  EXPECT_EQ(last.role, Role::input_scale);
  EXPECT_EQ(last.name, "blocks.0.fc.input_scale");
  EXPECT_EQ(last.shape, Shape{});
  EXPECT_EQ(last.bytes, std::string("\0\0\x80\x3F", 4));
}

TEST(Outputs, Int8_block_always_has_an_input_scale) {
  const QuantSpec spec = spec_of("int8-block", 128);
  EXPECT_EQ(spec.format->outputs(weight(128, 128), spec).back().role, Role::input_scale);
}

TEST(Accepts, Block_size_must_divide_both_dimensions) {
  const QuantSpec spec = spec_of("fp8-block", 64);
  EXPECT_TRUE(spec.format->accepts(weight(64, 128), spec));
  EXPECT_THAT(spec.format->accepts(weight(130, 128), spec).reason, testing::HasSubstr("130 rows"));
  EXPECT_THAT(spec.format->accepts(weight(128, 80), spec).reason, testing::HasSubstr("80 columns"));
}

TEST(Accepts, Formats_without_blocks_take_every_shape) {
  for (const FormatDescriptor* format : all_formats()) {
    if (format->grid() == ScaleGrid::block) continue;
    EXPECT_TRUE(format->accepts(weight(131, 7), any_spec(*format))) << format->name();
  }
}

/// The layer that `format` writes for `weight`, as a reader meets it.
class WrittenLayer {
 public:
  WrittenLayer(const TensorInfo& source, const QuantSpec& spec) : comfy_format_(spec.format->comfy_format()), group_size_(spec.block_size) {
    for (const LayerTensor& out : spec.format->outputs(source, spec)) {
      const TensorInfo info{out.name, out.dtype, out.shape};
      if (out.role == Role::codes) weight_ = info;
      if (out.role == Role::scales) scales_ = info;
    }
  }
  [[nodiscard]] StoredLayer stored() const {
    return {.comfy_format = comfy_format_, .group_size = group_size_, .weight = &weight_, .scales = scales_ ? &*scales_ : nullptr};
  }

 private:
  std::string_view comfy_format_;
  std::uint32_t group_size_;
  TensorInfo weight_;
  std::optional<TensorInfo> scales_;
};

TEST(Recognise, Every_format_knows_its_own_outputs) {
  for (const FormatDescriptor* format : all_formats()) {
    for (const std::uint64_t rows : {128U, 256U}) {
      const QuantSpec spec = any_spec(*format);
      const auto found = format->recognise(WrittenLayer(weight(rows, 128), spec).stored());
      ASSERT_TRUE(found) << format->name() << " " << rows;
      EXPECT_EQ(found->format, format);
      EXPECT_EQ(found->block_size, spec.block_size);
    }
  }
}

TEST(Recognise, Squeezed_scales_are_known) {
  for (const FormatDescriptor* format : all_formats()) {
    if (format->grid() == ScaleGrid::block) continue;
    EXPECT_TRUE(format->recognise(WrittenLayer(weight(1, 80), any_spec(*format)).stored())) << format->name();
  }
}

TEST(Recognise, No_other_format_claims_a_layer) {
  for (const FormatDescriptor* writer : all_formats()) {
    const WrittenLayer layer(weight(256, 384), any_spec(*writer));
    for (const FormatDescriptor* reader : all_formats()) {
      EXPECT_EQ(reader->recognise(layer.stored()).has_value(), reader == writer) << writer->name() << " read as " << reader->name();
    }
  }
}

TEST(Recognise, One_dimensional_scale_of_one_element_counts_as_squeezed) {
  const TensorInfo codes{"a.weight", Dtype::F8_E4M3, {4, 4}};
  const TensorInfo scale{"a.weight_scale", Dtype::F32, {1}};
  EXPECT_TRUE(format_named("fp8").recognise({.comfy_format = "float8_e4m3fn", .weight = &codes, .scales = &scale}));
}

TEST(Recognise, Contradicting_layer_is_not_claimed) {
  const TensorInfo codes{"a.weight", Dtype::F8_E4M3, {128, 128}};
  const TensorInfo wrong_type{"a.weight", Dtype::I8, {128, 128}};
  const TensorInfo scale{"a.weight_scale", Dtype::F32, {}};
  const TensorInfo half_scale{"a.weight_scale", Dtype::BF16, {}};
  const TensorInfo row_scales{"a.weight_scale", Dtype::F32, {128}};
  const FormatDescriptor& fp8 = format_named("fp8");
  const std::string_view label = "float8_e4m3fn";
  EXPECT_TRUE(fp8.recognise({.comfy_format = label, .weight = &codes, .scales = &scale}));
  EXPECT_FALSE(fp8.recognise({.comfy_format = "nvfp4", .weight = &codes, .scales = &scale}));
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &wrong_type, .scales = &scale}));
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &codes, .scales = &half_scale}));
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &codes, .scales = &row_scales}));
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .weight = &codes, .scales = nullptr}));
  EXPECT_FALSE(fp8.recognise({.comfy_format = label, .rotated = true, .weight = &codes, .scales = &scale}));
}

TEST(Recognise, Block_layer_needs_a_group_size_that_fits) {
  const TensorInfo codes{"a.weight", Dtype::I8, {128, 256}};
  const TensorInfo scales{"a.weight_scale", Dtype::F32, {2, 4}};
  const FormatDescriptor& format = format_named("int8-block");
  EXPECT_TRUE(format.recognise({.comfy_format = "int8_blockwise", .group_size = 64, .weight = &codes, .scales = &scales}));
  for (const std::uint32_t size : {0U, 100U, 128U}) {
    EXPECT_FALSE(format.recognise({.comfy_format = "int8_blockwise", .group_size = size, .weight = &codes, .scales = &scales})) << size;
  }
}

}  // namespace
}  // namespace halftone::formats
