#include "base/checked.hpp"

#include <gmock/gmock.h>

namespace halftone::base {
namespace {

using testing::Optional;

constexpr std::uint64_t kMax = UINT64_MAX;

TEST(CheckedMul, Product_that_fits_is_returned) {
  EXPECT_THAT(checked_mul(0, kMax), Optional(0U));
  EXPECT_THAT(checked_mul(1, kMax), Optional(kMax));
  EXPECT_THAT(checked_mul(0xFFFF'FFFF, 0x1'0000'0001), Optional(kMax));
}

TEST(CheckedMul, Product_beyond_64_bits_gives_nothing) {
  EXPECT_EQ(checked_mul(0x1'0000'0000, 0x1'0000'0000), std::nullopt);
  EXPECT_EQ(checked_mul(2, kMax / 2 + 1), std::nullopt);
}

TEST(CheckedAdd, Sum_that_fits_is_returned) { EXPECT_THAT(checked_add(kMax - 1, 1), Optional(kMax)); }

TEST(CheckedAdd, Sum_beyond_64_bits_gives_nothing) { EXPECT_EQ(checked_add(kMax, 1), std::nullopt); }

TEST(RoundUp, Next_multiple_is_returned) {
  static_assert(round_up(0, 8) == 0 && round_up(1, 8) == 8 && round_up(8, 8) == 8 && round_up(231, 8) == 232);
}

TEST(CeilDiv, Last_piece_may_be_short) {
  static_assert(ceil_div(0, 64) == 0 && ceil_div(1, 64) == 1 && ceil_div(64, 64) == 1 && ceil_div(65, 64) == 2);
}

TEST(CeilDiv, Largest_value_does_not_wrap) { static_assert(ceil_div(kMax, 2) == kMax / 2 + 1); }

}  // namespace
}  // namespace halftone::base
