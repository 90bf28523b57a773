#include <cmath>
#include <limits>

#include "unit/conversion_test.hpp"

namespace halftone {
namespace {

using test::f32;
using test::fails_with;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using CastWork = test::ConversionTest;

TEST_F(CastWork, Values_are_rounded_to_nearest_even) {
  write_input({f32("a.bias", {4}, {1.0F, 1.00390625F, 1.01171875F, -0.0F})});
  convert_with(cast_options("bias", "bf16"));
  EXPECT_THAT(output_values<std::uint16_t>("a.bias"), testing::ElementsAre(0x3F80, 0x3F80, 0x3F82, 0x8000));
}

TEST_F(CastWork, Half_is_widened_exactly) {
  write_input({{{"a.bias", Dtype::F16, {3}}, std::string("\x00\x3C\x01\x00\x00\xFC", 6)}});
  convert_with(cast_options("bias", "f32"));
  EXPECT_THAT(output_values<float>("a.bias"), testing::ElementsAre(1.0F, 0x1p-24F, -kInfinity));
}

TEST_F(CastWork, Every_float_type_casts_to_every_other) {
  write_input({{{"a.x", Dtype::F64, {1}}, test::bytes_of(std::vector<double>{-1.5})},
               f32("b.x", {1}, {-1.5F}),
               {{"c.x", Dtype::BF16, {1}}, std::string("\xC0\xBF", 2)},
               {{"d.x", Dtype::F16, {1}}, std::string("\x00\xBE", 2)}});
  for (const auto& [dtype, bytes] :
       {std::pair{"f32", std::string("\0\0\xC0\xBF", 4)}, {"bf16", "\xC0\xBF"}, {"f16", std::string("\0\xBE", 2)}}) {
    convert_with(cast_options(".x", dtype), {.threads = 2, .replace = true});
    for (const char* name : {"a.x", "b.x", "c.x", "d.x"}) EXPECT_EQ(test::tensor_bytes(output(), name), bytes) << name << " to " << dtype;
  }
}

TEST_F(CastWork, Value_beyond_f16_is_refused_with_its_place) {
  write_input({f32("a.weight", {3, 2}, {1.0F, 2.0F, 3.0F, 65520.0F, 5.0F, 1e9F})});
  EXPECT_THAT([&] { convert_with(cast_options("a", "f16")); },
              fails_with(ErrorKind::out_of_range, "'a.weight'", "65520", "row 1, column 1", "65504"));
  expect_no_output();
}

TEST_F(CastWork, Value_just_below_the_limit_of_f16_rounds_down) {
  write_input({f32("a.bias", {2}, {65519.996F, -65504.0F})});
  convert_with(cast_options("bias", "f16"));
  EXPECT_THAT(output_values<std::uint16_t>("a.bias"), testing::ElementsAre(0x7BFF, 0xFBFF));
}

TEST_F(CastWork, Nan_and_infinity_pass_into_f16) {
  write_input({f32("a.bias", {3}, {kInfinity, -kInfinity, NAN})});
  convert_with(cast_options("bias", "f16"));
  EXPECT_THAT(output_values<std::uint16_t>("a.bias"), testing::ElementsAre(0x7C00, 0xFC00, 0x7E00));
}

// A cast works in pieces; the place must be that in the tensor, not in the piece.
TEST_F(CastWork, Place_beyond_the_first_piece_is_that_of_the_tensor) {
  std::vector<float> values(std::size_t{300} * 300, 1.0F);
  values[299 * 300 + 7] = -70'000.0F;
  write_input({f32("a.weight", {300, 300}, values)});
  EXPECT_THAT([&] { convert_with(cast_options("a", "f16")); }, fails_with(ErrorKind::out_of_range, "row 299, column 7", "element 89707"));
}

TEST_F(CastWork, Place_in_a_vector_beyond_the_first_band_is_that_of_the_tensor) {
  std::vector<float> values(100'000, 1.0F);
  values[99'999] = 1e6F;
  write_input({f32("a.bias", {100'000}, values)});
  EXPECT_THAT([&] { convert_with(cast_options("a", "f16"), {.threads = 1, .memory_bytes = 1}); },
              fails_with(ErrorKind::out_of_range, "element 99999"));
}

}  // namespace
}  // namespace halftone
