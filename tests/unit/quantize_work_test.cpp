#include <cmath>
#include <limits>

#include "unit/conversion_test.hpp"

namespace halftone {
namespace {

using test::f32;
using test::fails_with;
using test::options_for;

using QuantizeWork = test::ConversionTest;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Ones, but for `value` at the given row and column.
std::vector<float> ones_but(std::uint64_t rows, std::uint64_t columns, std::uint64_t row, std::uint64_t column, float value) {
  std::vector<float> values(rows * columns, 1.0F);
  values[row * columns + column] = value;
  return values;
}

TEST_F(QuantizeWork, Nan_is_named_with_tensor_row_and_column_in_every_format) {
  // 200 rows of 512 take several bands; the bad element stands in the last.
  write_input({f32("blocks.0.fc.weight", {256, 512}, ones_but(256, 512, 250, 37, NAN))});
  for (const FormatDescriptor* format : all_formats()) {
    EXPECT_THAT([&] { convert_with(options_for(format->name()), {.threads = 2, .memory_bytes = 1}); },
                fails_with(ErrorKind::not_finite, "'blocks.0.fc.weight'", "NaN", "row 250, column 37", "element 128037"))
        << format->name();
    expect_no_output();
  }
}

TEST_F(QuantizeWork, First_bad_element_is_the_one_named) {
  std::vector<float> values = ones_but(256, 512, 250, 37, NAN);
  values[3 * 512 + 500] = -kInfinity;
  write_input({f32("a.weight", {256, 512}, values)});
  EXPECT_THAT([&] { convert_with(options_for("fp8-row"), {.threads = 4, .memory_bytes = 1}); },
              fails_with(ErrorKind::not_finite, "infinity", "row 3, column 500"));
}

TEST_F(QuantizeWork, Nan_of_a_half_is_found) {
  write_input({{{"a.weight", Dtype::BF16, {1, 2}}, std::string("\x80\x3F\xC0\x7F", 4)}});
  EXPECT_THAT([&] { convert_to("int8"); }, fails_with(ErrorKind::not_finite, "row 0, column 1"));
}

TEST_F(QuantizeWork, Double_beyond_binary32_is_refused) {
  write_input({{{"a.weight", Dtype::F64, {1, 2}}, test::bytes_of(std::vector<double>{1.0, 1e300})}});
  EXPECT_THAT([&] { convert_to("fp8"); }, fails_with(ErrorKind::not_finite, "row 0, column 1", "binary32"));
}

TEST_F(QuantizeWork, Nan_in_a_tensor_that_is_kept_passes_through) {
  write_input({f32("a.bias", {2}, {1.0F, NAN})});
  convert_to("fp8");
  EXPECT_EQ(test::tensor_bytes(output(), "a.bias"), test::tensor_bytes(input(), "a.bias"));
}

TEST_F(QuantizeWork, Cast_refuses_the_first_value_beyond_its_range) {
  std::vector<float> values = ones_but(256, 512, 250, 37, -449.0F);
  values[251 * 512] = 1e9F;
  write_input({f32("a.weight", {256, 512}, values)});
  EXPECT_THAT([&] { convert_with(options_for("fp8-cast"), {.threads = 2, .memory_bytes = 1}); },
              fails_with(ErrorKind::out_of_range, "'a.weight'", "-449", "row 250, column 37", "448"));
  expect_no_output();
}

TEST_F(QuantizeWork, Cast_takes_the_largest_value_itself) {
  write_input({f32("a.weight", {1, 3}, {448.0F, -448.0F, -0.0F})});
  convert_to("fp8-cast");
  EXPECT_EQ(test::tensor_bytes(output(), "a.weight"), "\x7E\xFE\x80");
}

TEST_F(QuantizeWork, Cast_that_meets_nan_and_a_large_value_names_the_first) {
  write_input({f32("a.weight", {1, 3}, {1.0F, 500.0F, NAN})});
  EXPECT_THAT([&] { convert_to("fp8-cast"); }, fails_with(ErrorKind::out_of_range, "column 1"));
}

TEST_F(QuantizeWork, Zero_layer_has_codes_zero_and_scales_of_one) {
  write_input({f32("a.weight", {2, 2}, {0.0F, -0.0F, 0.0F, -0.0F})});
  for (const char* format : {"fp8", "fp8-row", "fp8-e5m2", "int8", "int8-row"}) {
    convert_with(options_for(format), {.threads = 2, .replace = true});
    EXPECT_EQ(test::tensor_bytes(output(), "a.weight"), std::string(4, '\0')) << format;
    EXPECT_THAT(output_values<float>("a.weight_scale"), testing::Each(1.0F)) << format;
  }
}

TEST_F(QuantizeWork, Zero_row_beside_others_keeps_its_tiny_scale_and_signs) {
  write_input({f32("a.weight", {2, 2}, {0.0F, -0.0F, 1.0F, 0.5F})});
  convert_to("fp8-row");
  EXPECT_EQ(test::tensor_bytes(output(), "a.weight"), std::string("\x00\x80\x7E\x76", 4));
  EXPECT_EQ(output_values<std::uint32_t>("a.weight_scale")[0], 0x2720D7C5U);
}

TEST_F(QuantizeWork, Smallest_subnormals_are_no_zero_layer) {
  write_input({f32("a.weight", {1, 2}, {0x1p-149F, -0.0F})});
  convert_to("fp8");
  EXPECT_EQ(test::tensor_bytes(output(), "a.weight"), std::string("\x00\x80", 2));
  EXPECT_EQ(output_values<std::uint32_t>("a.weight_scale")[0], 0x2720D7C5U);
}

TEST_F(QuantizeWork, Single_row_has_a_scalar_scale) {
  write_input({f32("a.weight", {1, 2}, {1.5F, 0.5F})});
  const RunReport report = convert_to("int8-row");
  EXPECT_EQ(test::output_of(report.plan, "a.weight_scale")->shape, Shape{});
  EXPECT_EQ(output_values<std::uint32_t>("a.weight_scale"), std::vector<std::uint32_t>{0x3C418305});
}

}  // namespace
}  // namespace halftone
