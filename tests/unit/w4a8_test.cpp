#include "formats/w4a8/format.hpp"

#include <functional>

#include <gmock/gmock.h>

#include "formats/quant_spec.hpp"
#include "unit/fails_with.hpp"

namespace halftone::formats::w4a8 {
namespace {

/// A stored layer of 8 × 128 weights.
struct Layer {
  TensorInfo codes{"a.weight", Dtype::I8, {8, 64}};
  TensorInfo scales{"a.weight_s_rel", Dtype::F8_E4M3, {8, 8}};
  TensorInfo rows{"a.weight_s_channel", Dtype::F32, {8}};
  TensorInfo table{"a.weight_codebook", Dtype::F32, {16}};
  TensorInfo correction{"a.weight_correction", Dtype::F32, {8, 8}};
  std::uint32_t group_size = 16;
  bool has_table = true;
  bool has_correction = false;

  [[nodiscard]] LayerReading read() const {
    StoredLayer layer{.comfy_format = "asym_w4a8_int8", .group_size = group_size, .rotation_group = 64, .weight = &codes};
    layer.companions = {{".weight_s_rel", &scales}, {".weight_s_channel", &rows}};
    if (has_table) layer.companions[".weight_codebook"] = &table;
    if (has_correction) layer.companions[".weight_correction"] = &correction;
    return descriptor().recognise(layer);
  }
};

TEST(W4a8, Stored_layer_is_read_with_its_scales_and_table) {
  Layer layer;
  const auto found = layer.read().stored;
  ASSERT_TRUE(found);
  EXPECT_EQ(found->shape, (Shape{8, 128}));
  EXPECT_EQ(found->spec.group_size, 16U);
  EXPECT_EQ(found->spec.rotation_group, 64U);
  EXPECT_EQ(found->scales, &layer.scales);
  EXPECT_EQ(found->row_scales, &layer.rows);
  EXPECT_EQ(found->levels, &layer.table);
}

TEST(W4a8, Group_size_type_of_scales_and_table_have_defaults) {
  Layer layer;
  layer.group_size = 0;
  layer.scales.dtype = Dtype::U8;
  layer.has_table = false;
  const auto found = layer.read().stored;
  ASSERT_TRUE(found);
  EXPECT_EQ(found->spec.group_size, 16U);
  EXPECT_EQ(found->levels, nullptr);
}

TEST(W4a8, Contradiction_names_what_was_expected) {
  const auto says = [](const std::function<void(Layer&)>& change) {
    Layer layer;
    change(layer);
    const LayerReading reading = layer.read();
    EXPECT_FALSE(reading.stored);
    return reading.contradiction;
  };
  EXPECT_THAT(says([](Layer& layer) { layer.codes.dtype = Dtype::U8; }), testing::HasSubstr("I8 [8, 64]"));
  EXPECT_THAT(says([](Layer& layer) { layer.scales.shape = {8, 4}; }), testing::HasSubstr("F8_E4M3 [8, 8]"));
  EXPECT_THAT(says([](Layer& layer) { layer.scales.dtype = Dtype::F32; }), testing::HasSubstr("F8_E4M3 [8, 8]"));
  EXPECT_THAT(says([](Layer& layer) { layer.rows.shape = {8, 1}; }), testing::HasSubstr("F32 [8]"));
  EXPECT_THAT(says([](Layer& layer) { layer.table.shape = {15}; }), testing::HasSubstr("F32 [16]"));
  EXPECT_THAT(says([](Layer& layer) { layer.group_size = 12; }), testing::HasSubstr("group size of 12"));
  EXPECT_THAT(says([](Layer& layer) { layer.codes.shape = {8, 33}; }), testing::HasSubstr("66 columns"));
  EXPECT_THAT(says([](Layer& layer) { layer.has_correction = true; }), testing::HasSubstr("asymmetric"));
}

TEST(W4a8, Values_of_the_documented_scale) {
  constexpr int values[16] = {-102, -83, -66, -52, -39, -27, -16, -5, 5, 16, 28, 39, 52, 66, 83, 102};
  const float scale = Format::decode_operand(0x6D, 1.0F);
  for (std::uint8_t code = 0; code < 16; ++code) EXPECT_EQ(Format::decode(code, scale), static_cast<float>(values[code])) << +code;
}

TEST(W4a8, A_weight_between_two_values_takes_the_nearer_and_of_equals_the_lower) {
  const float scale = Format::decode_operand(0x6D, 1.0F);
  EXPECT_EQ(Format::encode(10.5F, scale), 8U) << "5 and 16 are equally near";
  EXPECT_EQ(Format::encode(10.6F, scale), 9U);
  EXPECT_EQ(Format::encode(-1000.0F, scale), 0U);
  EXPECT_EQ(Format::encode(1000.0F, scale), 15U);
}

TEST(W4a8, Equal_values_of_a_small_scale_are_told_apart_as_in_the_reference) {
  // With a scale of 1 the values are -1, -1, -1, -1, 0 (eight times) and 1 (four times).
  EXPECT_EQ(Format::encode(0.0F, 1.0F), 4U);
  EXPECT_EQ(Format::encode(0.4F, 1.0F), 11U);
  EXPECT_EQ(Format::encode(0.6F, 1.0F), 12U);
  EXPECT_EQ(Format::encode(2.0F, 1.0F), 15U);
}

TEST(W4a8, Group_sizes_are_completed_and_checked) {
  EXPECT_EQ(formats::complete_spec({.format = &descriptor()}, {}).group_size, 16U);
  const auto complete = [](const FormatDescriptor& format, std::uint32_t size) {
    return [&format, size] { (void)formats::complete_spec({.format = &format, .group_size = size}, {.group_size = "--group-size"}); };
  };
  EXPECT_THAT(complete(descriptor(), 12), test::fails_with(ErrorKind::usage, "--group-size", "16, 4, 8", "not 12"));
  EXPECT_THAT(complete(format_named("w4a4-convrot"), 16), test::fails_with(ErrorKind::usage, "no effect", "w4a4-convrot"));
}

}  // namespace
}  // namespace halftone::formats::w4a8
