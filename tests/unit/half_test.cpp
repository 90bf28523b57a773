#include <halftone/codec/half.hpp>

#include <gtest/gtest.h>

#include "unit/slow_float.hpp"

namespace halftone::codec {
namespace {

using test::SlowFloat;

constexpr std::uint32_t kSign = 0x8000;

/// A 16-bit codec and its slow twin.
struct HalfCase {
  const char* name;
  float (*decode)(std::uint16_t);
  std::uint16_t (*encode)(float);
  SlowFloat slow;
  std::uint16_t quiet_nan;
  friend std::ostream& operator<<(std::ostream& out, const HalfCase& tested) { return out << tested.name; }
};

class Half : public testing::TestWithParam<HalfCase> {};

INSTANTIATE_TEST_SUITE_P(Both, Half,
                         testing::Values(HalfCase{"bf16",
                                                  [](std::uint16_t c) { return Bf16::decode(c); },
                                                  [](float v) { return Bf16::encode(v); },
                                                  {7, 127, 0x7F80, kSign},
                                                  0x7FC0},
                                         HalfCase{"f16",
                                                  [](std::uint16_t c) { return F16::decode(c); },
                                                  [](float v) { return F16::encode(v); },
                                                  {10, 15, 0x7C00, kSign},
                                                  0x7E00}),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Half, Every_finite_code_decodes_to_its_formula) {
  for (std::uint32_t code = 0; code < GetParam().slow.overflow_code(); ++code) {
    const auto want = static_cast<float>(GetParam().slow.value(code));
    ASSERT_EQ(bits(GetParam().decode(static_cast<std::uint16_t>(code))), bits(want)) << code;
    ASSERT_EQ(bits(GetParam().decode(static_cast<std::uint16_t>(code | kSign))), bits(-want)) << code;
  }
}

TEST_P(Half, Infinity_decodes_with_its_sign) {
  const std::uint32_t code = GetParam().slow.overflow_code();
  EXPECT_EQ(bits(GetParam().decode(static_cast<std::uint16_t>(code))), kInfinityBits);
  EXPECT_EQ(bits(GetParam().decode(static_cast<std::uint16_t>(code | kSign))), kInfinityBits | kSignMask);
}

TEST_P(Half, Every_nan_code_decodes_to_nan_of_its_sign) {
  for (std::uint32_t code = GetParam().slow.overflow_code() + 1; code < kSign; ++code) {
    const std::uint32_t positive = bits(GetParam().decode(static_cast<std::uint16_t>(code)));
    const std::uint32_t negative = bits(GetParam().decode(static_cast<std::uint16_t>(code | kSign)));
    ASSERT_GT(positive, kInfinityBits) << code;
    ASSERT_EQ(positive & kSignMask, 0U) << code;
    ASSERT_EQ(negative, positive | kSignMask) << code;
  }
}

TEST_P(Half, Every_code_but_nan_survives_the_round_trip) {
  for (std::uint32_t code = 0; code <= 0xFFFF; ++code) {
    if ((code & 0x7FFF) > GetParam().slow.overflow_code()) continue;
    ASSERT_EQ(GetParam().encode(GetParam().decode(static_cast<std::uint16_t>(code))), code);
  }
}

TEST_P(Half, Samples_and_all_midpoints_round_to_nearest_even) {
  const SlowFloat& slow = GetParam().slow;
  EXPECT_EQ(test::first_difference(slow.samples(), GetParam().encode, [&](float value) { return slow.nearest(value); }), "");
}

TEST_P(Half, Nan_becomes_the_quiet_nan_of_its_sign) {
  for (const std::uint32_t payload : {0x0000'0001U, 0x0000'8000U, 0x0040'0000U, 0x007F'FFFFU}) {
    EXPECT_EQ(GetParam().encode(from_bits(kInfinityBits | payload)), GetParam().quiet_nan) << payload;
    EXPECT_EQ(GetParam().encode(from_bits(kInfinityBits | payload | kSignMask)), GetParam().quiet_nan | kSign) << payload;
  }
}

TEST(Bf16, Works_in_constant_expressions) {
  static_assert(Bf16::encode(1.0F) == 0x3F80 && Bf16::decode(0x3F80) == 1.0F);
  static_assert(Bf16::encode(1.00390625F) == 0x3F80);  // tie to the even code below
  static_assert(Bf16::encode(1.01171875F) == 0x3F82);  // tie to the even code above
  static_assert(Bf16::encode(0x1.FFFFFEp127F) == 0x7F80);
}

TEST(F16, Works_in_constant_expressions) {
  static_assert(F16::encode(1.0F) == 0x3C00 && F16::decode(0x3C00) == 1.0F);
  static_assert(F16::encode(65519.996F) == 0x7BFF);
  static_assert(F16::encode(65520.0F) == 0x7C00);
  static_assert(F16::encode(0x1p-25F) == 0x0000 && F16::encode(0x1.8p-24F) == 0x0002);
  static_assert(F16::decode(0x0001) == 0x1p-24F && F16::decode(0x03FF) == 0x1.FF8p-15F);
}

}  // namespace
}  // namespace halftone::codec
