#include <halftone/codec/minifloat.hpp>

#include <limits>

#include <gtest/gtest.h>

#include "unit/slow_float.hpp"

namespace halftone::codec {
namespace {

using test::SlowFloat;

constexpr std::uint32_t kSign = 0x80;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// An 8-bit float and its slow twin.
struct MinifloatCase {
  const char* name;
  float (*decode)(std::uint8_t);
  std::uint32_t (*encode)(float);
  std::uint32_t (*encode_saturating)(float);
  float max_value;
  SlowFloat slow;
  friend std::ostream& operator<<(std::ostream& out, const MinifloatCase& tested) { return out << tested.name; }
};

template <class Codec>
MinifloatCase minifloat_case(const char* name, const SlowFloat& slow) {
  return {name,
          [](std::uint8_t code) { return Codec::decode(code); },
          [](float value) { return Codec::encode(value); },
          [](float value) { return Codec::encode_saturating(value); },
          Codec::max_value(),
          slow};
}

class Minifloats : public testing::TestWithParam<MinifloatCase> {};

INSTANTIATE_TEST_SUITE_P(Both, Minifloats,
                         testing::Values(minifloat_case<E4M3>("e4m3", {3, 7, 0x7F, kSign}),
                                         minifloat_case<E5M2>("e5m2", {2, 15, 0x7C, kSign})),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST_P(Minifloats, Every_finite_code_decodes_to_its_formula) {
  for (std::uint32_t code = 0; code < GetParam().slow.overflow_code(); ++code) {
    const auto want = static_cast<float>(GetParam().slow.value(code));
    EXPECT_EQ(bits(GetParam().decode(static_cast<std::uint8_t>(code))), bits(want)) << code;
    EXPECT_EQ(bits(GetParam().decode(static_cast<std::uint8_t>(code | kSign))), bits(-want)) << code;
  }
}

/// The first of many magnitudes that rounds to another value at once than by way of a code; 0 for none.
template <class Codec>
std::uint32_t first_difference() {
  for (std::uint32_t pattern = 0; pattern <= kInfinityBits; pattern += 0x7FFFU) {
    const float value = from_bits(pattern);
    const auto code = static_cast<std::uint8_t>(Codec::encode_saturating(value));
    if (bits(Codec::round_magnitude(value)) != bits(Codec::decode(code))) return pattern;
  }
  return 0;
}

TEST(Minifloat, Rounding_at_once_gives_the_value_of_the_code) {
  EXPECT_EQ(first_difference<E4M3>(), 0U);
  EXPECT_EQ(first_difference<E5M2>(), 0U);
  EXPECT_EQ(first_difference<E2M1>(), 0U);
}

TEST_P(Minifloats, Every_finite_code_survives_the_round_trip) {
  for (std::uint32_t code = 0; code <= 0xFF; ++code) {
    if ((code & 0x7F) >= GetParam().slow.overflow_code()) continue;
    const float value = GetParam().decode(static_cast<std::uint8_t>(code));
    EXPECT_EQ(GetParam().encode(value), code);
    EXPECT_EQ(GetParam().encode_saturating(value), code);
  }
}

TEST_P(Minifloats, Largest_value_is_that_of_the_table) { EXPECT_EQ(GetParam().max_value, GetParam().slow.largest()); }

TEST_P(Minifloats, Samples_and_all_midpoints_round_to_nearest_even) {
  const SlowFloat& slow = GetParam().slow;
  EXPECT_EQ(test::first_difference(slow.samples(), GetParam().encode, [&](float value) { return slow.nearest(value); }), "");
}

TEST_P(Minifloats, Saturating_encoder_clamps_before_it_rounds) {
  const SlowFloat& slow = GetParam().slow;
  const auto clamped = [&](float value) { return slow.nearest(std::clamp<double>(value, -slow.largest(), slow.largest())); };
  EXPECT_EQ(test::first_difference(slow.samples(), GetParam().encode_saturating, clamped), "");
}

TEST_P(Minifloats, Nan_keeps_its_sign) {
  EXPECT_EQ(GetParam().encode(kNan), 0x7FU);
  EXPECT_EQ(GetParam().encode(-kNan), 0xFFU);
  EXPECT_EQ(GetParam().encode(from_bits(kInfinityBits + 1)), 0x7FU);
}

/// A row of the tables of formats.md.
struct Row {
  float value;
  std::uint32_t code;
};

TEST(E4m3, Table_of_the_specification_holds) {
  constexpr Row rows[] = {
      {0.0F, 0x00},           {-0.0F, 0x80},     {0x1p-10F, 0x00}, {0x1.000002p-10F, 0x01}, {1.5F * 0x1p-9F, 0x02}, {2.5F * 0x1p-9F, 0x02},
      {7.5F * 0x1p-9F, 0x08}, {0x1p-6F, 0x08},   {1.0F, 0x38},     {1.0625F, 0x38},         {1.125F, 0x39},         {1.1875F, 0x3A},
      {17.0F, 0x58},          {19.0F, 0x5A},     {432.0F, 0x7E},   {448.0F, 0x7E},          {464.0F, 0x7E},         {465.0F, 0x7F},
      {-465.0F, 0xFF},        {kInfinity, 0x7F},
  };
  for (const Row& row : rows) EXPECT_EQ(E4M3::encode(row.value), row.code) << row.value;
}

TEST(E4m3, Beyond_the_largest_value_the_clamp_gives_it) {
  for (const float value : {464.0F, 465.0F, 1e30F, kInfinity}) {
    EXPECT_EQ(E4M3::encode_saturating(value), 0x7EU) << value;
    EXPECT_EQ(E4M3::encode_saturating(-value), 0xFEU) << value;
  }
}

TEST(E4m3, Has_no_infinity_and_one_nan_of_each_sign) {
  EXPECT_GT(bits(E4M3::decode(0x7F)), kInfinityBits);
  EXPECT_GT(bits(E4M3::decode(0xFF)), kInfinityBits | kSignMask);
  EXPECT_EQ(E4M3::decode(0x7E), 448.0F);
}

TEST(E5m2, Table_of_the_specification_holds) {
  constexpr Row rows[] = {
      {1.0F, 0x3C},     {1.125F, 0x3C},   {1.375F, 0x3E},          {57344.0F, 0x7B}, {61439.0F, 0x7B},
      {61440.0F, 0x7C}, {0x1p-17F, 0x00}, {0x1.000002p-17F, 0x01}, {0x1p-14F, 0x04}, {-61440.0F, 0xFC},
  };
  for (const Row& row : rows) EXPECT_EQ(E5M2::encode(row.value), row.code) << row.value;
}

TEST(E5m2, Infinity_decodes_and_the_codes_after_it_are_nan) {
  EXPECT_EQ(E5M2::decode(0x7C), kInfinity);
  EXPECT_EQ(E5M2::decode(0xFC), -kInfinity);
  for (const int code : {0x7D, 0x7E, 0x7F}) EXPECT_GT(bits(E5M2::decode(static_cast<std::uint8_t>(code))), kInfinityBits) << code;
}

TEST(Minifloat, Works_in_constant_expressions) {
  static_assert(E4M3::encode(17.0F) == 0x58 && E4M3::encode_saturating(-1e9F) == 0xFE && E4M3::decode(0x08) == 0x1p-6F);
  static_assert(E5M2::encode(61440.0F) == 0x7C && E5M2::encode_saturating(61440.0F) == 0x7B && E5M2::decode(0x01) == 0x1p-16F);
}

}  // namespace
}  // namespace halftone::codec
