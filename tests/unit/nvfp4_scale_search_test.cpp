#include "formats/nvfp4/scale_search.hpp"

#include <algorithm>
#include <cmath>
#include <random>

#include <gtest/gtest.h>

namespace halftone::formats::nvfp4 {
namespace {

/// The same by trying every candidate.
ByteScale slow_search(const float (&magnitudes)[16], float amax, float tensor) {
  ByteScale best{};
  float least = 0;
  for (int i = 0; i < Format::kCandidates; ++i) {
    const ByteScale scale = Format::candidate(amax, tensor, i);
    float errors[16];
    for (int l = 0; l < 16; ++l) {
      const float difference = Format::nearest(magnitudes[l], scale.encode, scale.encode) - magnitudes[l];
      errors[l] = difference * difference;
    }
    for (int half = 8; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) errors[l] += errors[l + half];
    }
    if (i != 0 && !(errors[0] < least)) continue;
    least = errors[0];
    best = scale;
  }
  return best;
}

void expect_same(const float (&magnitudes)[16], float tensor) {
  const float amax = *std::max_element(std::begin(magnitudes), std::end(magnitudes));
  const ByteScale wanted = slow_search(magnitudes, amax, tensor);
  const ByteScale found = ScaleSearch::best(magnitudes, amax, tensor);
  EXPECT_EQ(+found.stored, +wanted.stored) << "amax " << amax << ", tensor " << tensor;
  EXPECT_EQ(codec::bits(found.encode), codec::bits(wanted.encode)) << "amax " << amax << ", tensor " << tensor;
}

TEST(Nvfp4ScaleSearch, Leaving_candidates_away_changes_nothing) {
  std::mt19937 random(15);
  std::normal_distribution<float> normal;
  for (int trial = 0; trial < 200'000 && !testing::Test::HasFailure(); ++trial) {
    // Runs from the largest of the weight down to those that find no scale but 0.
    const float amax = std::ldexp(1.0F, -static_cast<int>(random() % 16));
    float magnitudes[16];
    for (float& magnitude : magnitudes) {
      magnitude = codec::magnitude(normal(random)) * (trial % 3 == 0 ? 0.05F : 0.3F) * amax;
      if (trial % 2 == 0) magnitude = codec::from_bits(codec::bits(magnitude) & 0xFFFF'0000U);
      if (random() % 8 == 0) magnitude = 0.0F;
    }
    if (trial % 5 != 0) magnitudes[random() % 16] = amax;
    const float tensor = trial % 4 == 0 ? 1.0F / 1536.0F : 1.0F / 2688.0F;
    expect_same(magnitudes, tensor);
  }
}

TEST(Nvfp4ScaleSearch, Weights_that_two_scales_serve_equally_well_change_nothing) {
  std::mt19937 random(16);
  for (int trial = 0; trial < 200'000 && !testing::Test::HasFailure(); ++trial) {
    // A few values of few bits: many scales give the same error, or nearly so.
    const float other = std::ldexp(1.0F, -static_cast<int>(random() % 8)) * (trial % 2 == 0 ? 1.0F : 1.000001F);
    float magnitudes[16];
    for (float& magnitude : magnitudes) magnitude = random() % 2 == 0 ? other : std::ldexp(static_cast<float>(random() % 8), -3);
    expect_same(magnitudes, std::ldexp(trial % 3 == 0 ? 1.0F : 1.3F, -11));
  }
}

TEST(Nvfp4ScaleSearch, Zeros_ties_and_scales_of_any_size_change_nothing) {
  expect_same({}, 1.0F);
  expect_same({6.0F, 5.0F, 2.5F, 1.75F, 0.25F, 0.75F, 3.5F, 1.25F}, 1.0F);
  for (const float tensor : {1e-41F, 1e-37F, 1e-30F, 1e-10F, 1e10F, 1e31F, 1e35F}) {
    for (const float most : {0.001F, 0.2F, 3.0F, 500.0F, 2688.0F}) {
      float magnitudes[16];
      for (int i = 0; i < 16; ++i) magnitudes[i] = tensor * most * static_cast<float>(i) / 15.0F;
      expect_same(magnitudes, tensor);
    }
  }
}

}  // namespace
}  // namespace halftone::formats::nvfp4
