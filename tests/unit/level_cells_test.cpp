#include "formats/level_cells.hpp"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "formats/w4a8/format.hpp"

namespace halftone::formats {
namespace {

using w4a8::Format;

/// Returns whether the likely fit is the fit for certain.
bool expect_same_fit(const LevelCells<Format>& cells, const float (&weights)[16]) {
  float wanted_largest = 0.0F;
  float found_largest = 0.0F;
  const float wanted = Format::fit(weights, 16, wanted_largest);
  const auto [least, most] = std::minmax_element(std::begin(weights), std::end(weights));
  const float found = cells.fit(weights, std::min(*least, 0.0F), std::max(*most, 0.0F), found_largest);
  const auto likely = cells.likely_fit(weights, std::min(*least, 0.0F), std::max(*most, 0.0F));
  if (!likely.close) {
    EXPECT_EQ(codec::bits(likely.scale), codec::bits(wanted)) << likely.scale << " instead of " << wanted;
  }
  EXPECT_EQ(codec::bits(found), codec::bits(wanted)) << found << " instead of " << wanted;
  EXPECT_EQ(codec::bits(found_largest), codec::bits(wanted_largest)) << found_largest << " instead of " << wanted_largest;
  return !likely.close;
}

TEST(LevelCells, Fit_is_that_of_the_format_for_groups_of_any_kind) {
  const auto cells = LevelCells<Format>::made();
  std::mt19937 random(16);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  int certain = 0;  // of the weights that are like those of models
  for (int trial = 0; trial < 200'000 && !testing::Test::HasFailure(); ++trial) {
    // One large weight, and others that are small, all at one limit or level of the table, or anything.
    const float unit = std::ldexp(1.0F, static_cast<int>(random() % 45) - 35);
    const float level = Format::level(random() % 16);
    const float middle = (Format::level(7) + Format::level(8)) * 0.5F;
    float weights[16];
    for (float& weight : weights) {
      switch (trial % 6) {
        case 0: weight = normal(random) * 0.2F; break;
        case 1: weight = uniform(random); break;
        case 2: weight = uniform(random) * 0.01F; break;
        case 3: weight = middle + uniform(random) * 1e-3F; break;
        case 4: weight = level * (1.0F + uniform(random) * 1e-6F); break;
        default: weight = random() % 4 == 0 ? uniform(random) * 0.06F : 0.0F; break;
      }
      weight *= unit;
    }
    weights[random() % 16] = (random() % 2 == 0 ? unit : -unit) * (trial % 7 == 0 ? 0.9F : 0.999F);
    certain += expect_same_fit(cells, weights) && trial % 6 == 0 ? 1 : 0;
  }
  EXPECT_GT(certain, 33'000);  // of 33'334
}

TEST(LevelCells, Fit_of_zeros_and_of_tiny_weights_is_the_smallest_scale) {
  const auto cells = LevelCells<Format>::made();
  expect_same_fit(cells, {});
  expect_same_fit(cells, {1e-9F, -1e-10F, 1e-20F, -1e-38F, 1e-45F});
  expect_same_fit(cells, {1.1e-8F, -1e-10F, 1e-20F, -1e-38F, 1e-45F});
}

TEST(LevelCells, Codes_are_those_of_the_format_at_and_beside_every_limit) {
  const auto cells = LevelCells<Format>::made();
  int served = 0;
  int likely_scales = 0;
  for (std::uint32_t stored = 0; stored < 127; ++stored) {
    const float scale = codec::E4M3::decode(static_cast<std::uint8_t>(stored));
    if (!LevelCells<Format>::serves(scale)) continue;
    ++served;
    const float inverse = LevelCells<Format>::kCodeFactor / scale;
    const float likely_inverse = LevelCells<Format>::kLikelyFactor / scale;
    likely_scales += LevelCells<Format>::is_likely(scale) ? 1 : 0;
    const auto expect_same = [&](float weight) {
      const std::uint32_t wanted = Format::encode(weight, scale);
      const auto beyond = cells.code<true>(weight, scale, inverse);
      EXPECT_EQ(beyond.times_4, 4 * wanted) << weight << " with " << scale;
      EXPECT_EQ(beyond.value, Format::decode(static_cast<std::uint8_t>(wanted), scale)) << weight << " with " << scale;
      if (codec::magnitude(weight) > LevelCells<Format>::kMostWeight * scale) return;
      EXPECT_EQ(cells.code<false>(weight, scale, inverse).times_4, 4 * wanted) << weight << " with " << scale;
      if (!LevelCells<Format>::is_likely(scale)) return;
      const auto likely = cells.likely_code(weight, 1.0F, LevelCells<Format>::likely_row(stored), likely_inverse);
      if (codec::magnitude(likely.apart) < LevelCells<Format>::kClose) return;
      EXPECT_EQ((likely.word & 15U) ^ 8U, wanted) << weight << " with " << scale;
    };
    for (int half = -400; half <= 400; ++half) {
      // Limits are multiples of 1/2, or a little above.
      const float limit = 0.5F * static_cast<float>(half);
      for (const float apart : {0.0F, 1e-10F, 1e-8F, 1e-7F, 1e-6F, 1e-5F, 1e-3F, 0.25F}) {
        expect_same(limit + apart);
        expect_same(limit - apart);
      }
      expect_same(std::nextafter(limit, 1e3F));
      expect_same(std::nextafter(limit, -1e3F));
    }
  }
  EXPECT_EQ(served, 28);         // 13, 14, 15, 16 to 120 in three octaves of eight, 128
  EXPECT_EQ(likely_scales, 21);  // 24, 26, 28, 30, 32 to 120 in two octaves of eight, 128
}

}  // namespace
}  // namespace halftone::formats
