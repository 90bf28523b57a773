#include <halftone/codec/integer.hpp>

#include <limits>

#include <gtest/gtest.h>

#include "unit/slow_float.hpp"

namespace halftone::codec {
namespace {

/// The integer in [-127, 127] nearest to `value`, ties to even, by looking at all of them.
std::uint32_t slow_encode(float value) {
  const double clamped = std::clamp<double>(value, -127.0, 127.0);
  int best = -127;
  for (int candidate = -126; candidate <= 127; ++candidate) {
    const double distance = std::fabs(candidate - clamped);
    const double best_distance = std::fabs(best - clamped);
    if (distance < best_distance || (distance == best_distance && candidate % 2 == 0)) best = candidate;
  }
  return static_cast<std::uint8_t>(best);
}

/// Evenly spread patterns, and every multiple of 1/4 from -130 to 130 with the floats next to it.
std::vector<std::uint32_t> samples() {
  constexpr std::uint64_t stride = 65'537;
  std::vector<std::uint32_t> patterns;
  for (std::uint64_t pattern = 0; pattern <= UINT32_MAX; pattern += stride) {
    const auto word = static_cast<std::uint32_t>(pattern);
    if ((word & kMagnitudeMask) <= kInfinityBits) patterns.push_back(word);
  }
  for (int quarter = 1; quarter <= 4 * 130; ++quarter) {
    const std::uint32_t pattern = bits(static_cast<float>(quarter) / 4);
    for (const std::uint32_t near : {pattern - 1, pattern, pattern + 1}) {
      patterns.push_back(near);
      patterns.push_back(near | kSignMask);
    }
  }
  return patterns;
}

TEST(Int8, Every_code_decodes_as_twos_complement) {
  for (int value = -128; value <= 127; ++value) {
    EXPECT_EQ(Int8::decode(static_cast<std::uint8_t>(value)), static_cast<float>(value));
  }
}

TEST(Int8, Every_code_but_minus_128_survives_the_round_trip) {
  for (int value = -127; value <= 127; ++value) {
    EXPECT_EQ(Int8::encode_saturating(static_cast<float>(value)), static_cast<std::uint8_t>(value));
  }
}

TEST(Int8, Samples_and_all_halves_round_to_nearest_even) {
  const auto encode = [](float value) { return Int8::encode_saturating(value); };
  EXPECT_EQ(test::first_difference(samples(), encode, slow_encode), "");
}

TEST(Int8, Rounding_at_once_gives_the_value_of_the_code) {
  for (const std::uint32_t pattern : samples()) {
    const float magnitude = codec::magnitude(from_bits(pattern));
    const auto code = static_cast<std::uint8_t>(Int8::encode_saturating(magnitude));
    ASSERT_EQ(bits(Int8::round_magnitude(magnitude)), bits(Int8::decode(code))) << magnitude;
  }
}

TEST(Int8, Minus_128_is_never_produced) {
  for (const float value : {-127.5F, -128.0F, -1e30F, -std::numeric_limits<float>::infinity()}) {
    EXPECT_EQ(Int8::encode_saturating(value), 0x81U) << value;
  }
}

TEST(Int8, Both_zeros_give_code_zero) {
  EXPECT_EQ(Int8::encode_saturating(0.0F), 0U);
  EXPECT_EQ(Int8::encode_saturating(-0.0F), 0U);
}

TEST(Int8, Codes_within_the_range_are_those_that_saturate_and_what_is_added) {
  for (int quarter = -4 * 127; quarter <= 4 * 127; ++quarter) {
    const float value = static_cast<float>(quarter) / 4;
    EXPECT_EQ(Int8::encode_within(value) & 0xFFU, Int8::encode_saturating(value)) << value;
    EXPECT_EQ((Int8::encode_within<8>(value) - 8) & 0xFFU, Int8::encode_saturating(value)) << value;
    if (std::fabs(value) <= 7.0F) {
      EXPECT_EQ(Int4::encode_within(value) & 15U, Int4::encode_saturating(value)) << value;
    }
  }
}

TEST(Int8, Works_in_constant_expressions) {
  static_assert(Int8::encode_saturating(63.5F) == 64 && Int8::encode_saturating(62.5F) == 62);
  static_assert(Int8::encode_saturating(-31.242F) == 0xE1 && Int8::decode(0xE1) == -31.0F);
}

}  // namespace
}  // namespace halftone::codec
