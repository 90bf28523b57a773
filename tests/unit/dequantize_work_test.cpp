#include "unit/conversion_test.hpp"

namespace halftone {
namespace {

using test::f32;
using test::fails_with;

using DequantizeWork = test::ConversionTest;

TEST_F(DequantizeWork, Value_beyond_f16_is_refused_with_its_place) {
  // INT8 with row scales: only row 599 exceeds F16, and it lies beyond the first piece.
  std::vector<float> scales(600, 1.0F);
  scales[599] = 1000.0F;
  std::string codes(std::size_t{600} * 200, '\x01');
  codes[599 * 200 + 3] = '\x7F';
  const std::string sidecar = R"({"format": "int8_tensorwise", "per_row": true})";
  write_input({{{"a.weight", Dtype::I8, {600, 200}}, codes},
               f32("a.weight_scale", {600, 1}, scales),
               {{"a.comfy_quant", Dtype::U8, {46}}, sidecar}});
  EXPECT_THAT([&] { dequantize(input(), output(), Dtype::F16, {.threads = 2}, control_); },
              fails_with(ErrorKind::out_of_range, "'a.weight'", "127000", "row 599, column 3"));
}

TEST_F(DequantizeWork, Target_type_is_that_asked_for) {
  const std::string sidecar = R"({"format": "int8_tensorwise"})";
  write_input({{{"a.weight", Dtype::I8, {1, 3}}, "\x7F\x81\x02"},
               f32("a.weight_scale", {}, {0.5F}),
               {{"a.comfy_quant", Dtype::U8, {29}}, sidecar}});
  dequantize(input(), output(), Dtype::F16, {.threads = 1}, control_);
  EXPECT_THAT(output_values<std::uint16_t>("a.weight"), testing::ElementsAre(0x53F0, 0xD3F0, 0x3C00));
  dequantize(input(), output(), Dtype::BF16, {.threads = 1, .replace = true}, control_);
  EXPECT_THAT(output_values<std::uint16_t>("a.weight"), testing::ElementsAre(0x427E, 0xC27E, 0x3F80));
}

}  // namespace
}  // namespace halftone
