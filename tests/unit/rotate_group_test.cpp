#include "formats/rotation.hpp"

#include <array>
#include <random>

#include <gtest/gtest.h>

#include <halftone/codec/half.hpp>

namespace halftone::formats {
namespace {

using Group = std::array<float, 16>;

/// Weights of BF16 or F16, of any size below 2^123.
template <class Half>
Group weights_of(std::mt19937& random) {
  Group weights;
  for (float& weight : weights) {
    do {
      weight = Half::decode(static_cast<std::uint16_t>(random()));
    } while (!(codec::magnitude(weight) < 0x1p123F));
  }
  return weights;
}

template <class Half>
void expect_same() {
  std::mt19937 random(4);
  for (int trial = 0; trial < 100'000 && !testing::Test::HasFailure(); ++trial) {
    Group wanted = weights_of<Half>(random);
    Group before = wanted;
    Group behind = wanted;
    rotate_group<16>(wanted.data());
    for (float& weight : before) weight *= 0.25F;
    rotate_group<16, 1, Halving::elsewhere>(before.data());
    for (std::uint32_t i = 0; i < 16; i += 4) rotate_four<1, Halving::elsewhere>(behind.data() + i);
    for (std::uint32_t i = 0; i < 4; ++i) rotate_four_last<4>(behind.data() + i, 0.25F);
    for (std::uint32_t i = 0; i < 16; ++i) {
      EXPECT_EQ(codec::bits(before[i]), codec::bits(wanted[i])) << before[i] << " instead of " << wanted[i];
      EXPECT_EQ(codec::bits(behind[i]), codec::bits(wanted[i])) << behind[i] << " instead of " << wanted[i];
    }
  }
}

TEST(Rotation, Halving_16_bit_weights_beforehand_or_at_the_end_gives_the_same_bits) {
  expect_same<codec::Bf16>();
  expect_same<codec::F16>();
}

}  // namespace
}  // namespace halftone::formats
