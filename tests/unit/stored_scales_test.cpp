#include "learn/stored_scales.hpp"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "formats/scale_rules.hpp"
#include "support/format_spec.hpp"

namespace halftone::learn {
namespace {

constexpr std::uint64_t kRows = 128;
constexpr std::uint64_t kColumns = 256;
constexpr float kAmax = 1.5F;

/// The scales of a weight whose groups all have a largest magnitude of 1.
StoredScales scales_of(const QuantSpec& spec, const formats::LayerLayout& layout) {
  const formats::ScaleRules& rules = formats::scale_rules(*spec.format);
  const std::uint32_t stored = rules.group(1.0F, tensor_scale(*spec.format, kAmax)).stored;
  const std::uint32_t width = spec.format->storage().scale_bytes;
  std::vector<std::byte> scales(layout.scale_bytes(layout.rows()));
  for (std::size_t at = 0; at < scales.size(); at += width) std::memcpy(scales.data() + at, &stored, width);
  return {spec, layout, kColumns, scales, kAmax};
}

TEST(StoredScales, Move_to_what_their_bytes_stand_for) {
  for (const char* name : {"fp8", "fp8-row", "fp8-block", "int8", "int8-row", "int8-block", "nvfp4", "nf4"}) {
    const QuantSpec spec = test::default_spec(format_named(name));
    ASSERT_EQ(formats::why_scales_stay(spec), "") << name;
    const formats::LayerLayout layout(spec, kRows, kColumns);
    StoredScales scales = scales_of(spec, layout);
    const std::uint64_t last = scales.count() - 1;
    const float wanted = scales.value(last) * 1.07F;
    scales.move(last, wanted);
    EXPECT_NEAR(scales.value(last), wanted, std::fabs(wanted) * 0x1p-4F) << name;  // half a step of E4M3
    EXPECT_NE(scales.value(last), wanted / 1.07F) << name;
    const StoredScales again(spec, layout, kColumns, scales.bytes(), scales.amax());
    for (std::uint64_t i = 0; i < scales.count(); ++i) ASSERT_EQ(again.value(i), scales.value(i)) << name << " " << i;
  }
}

TEST(StoredScales, Of_a_byte_go_to_the_nearest_one) {
  const QuantSpec spec = test::default_spec(format_named("nvfp4"));
  const formats::LayerLayout layout(spec, kRows, kColumns);
  StoredScales scales = scales_of(spec, layout);
  const std::vector<formats::ScaleChoice> choices = formats::scale_choices(*spec.format, tensor_scale(*spec.format, kAmax));
  for (const float wanted : {1e-9F, 0.01F, 0.05F, 0.1F, 0.101F, 0.3F, 1e9F}) {
    scales.move(3, wanted);
    float least = INFINITY;
    for (const formats::ScaleChoice& choice : choices) least = std::min(least, std::fabs(choice.value - wanted));
    EXPECT_EQ(std::fabs(scales.value(3) - wanted), least) << wanted;
  }
}

TEST(StoredScales, Of_zero_and_to_what_is_no_scale_stay) {
  const QuantSpec spec = test::default_spec(format_named("fp8-row"));
  const formats::LayerLayout layout(spec, kRows, kColumns);
  StoredScales scales(spec, layout, kColumns, std::vector<std::byte>(layout.scale_bytes(kRows)), kAmax);
  scales.move(0, 1.0F);
  EXPECT_EQ(scales.value(0), 0.0F);
  StoredScales others = scales_of(spec, layout);
  const float before = others.value(0);
  for (const float wanted : {0.0F, -1.0F, INFINITY, NAN}) others.move(0, wanted);
  EXPECT_EQ(others.value(0), before);
}

TEST(StoredScales, Belong_to_the_elements_of_their_group) {
  const auto index = [](const char* name, std::uint64_t row, std::uint64_t column) {
    const QuantSpec spec = test::default_spec(format_named(name));
    const formats::LayerLayout layout(spec, kRows, kColumns);
    return scales_of(spec, layout).index_of(row, column);
  };
  EXPECT_EQ(index("fp8", 127, 255), 0U);
  EXPECT_EQ(index("fp8-row", 127, 255), 127U);
  EXPECT_EQ(index("fp8-block", 64, 63), 4U);  // blocks of 64
  EXPECT_EQ(index("nvfp4", 2, 17), 33U);      // runs of 16
  EXPECT_EQ(index("nf4", 1, 64), 5U);         // blocks of 64, row after row
}

TEST(StoredScales, That_cannot_move_are_named) {
  EXPECT_NE(formats::why_scales_stay(test::default_spec(format_named("mxfp8"))).find("powers of two"), std::string::npos);
  EXPECT_NE(formats::why_scales_stay(test::default_spec(format_named("fp8-cast"))), "");
  QuantSpec nested = test::default_spec(format_named("nf4"));
  nested.double_quant = true;
  EXPECT_NE(formats::why_scales_stay(nested), "");
}

}  // namespace
}  // namespace halftone::learn
