#include "formats/double_quant.hpp"

#include <algorithm>

#include <gmock/gmock.h>

namespace halftone::formats {
namespace {

TEST(DoubleQuant, Levels_ascend_in_decades_around_zero) {
  const std::vector<float>& levels = dynamic_levels();
  ASSERT_EQ(levels.size(), kNestedLevels);
  EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
  EXPECT_EQ(std::adjacent_find(levels.begin(), levels.end()), levels.end());
  EXPECT_EQ(levels[127], 0.0F);
  EXPECT_FLOAT_EQ(levels[128], 5.5e-7F);
  EXPECT_FLOAT_EQ(levels[0], -0.99296875F);
  EXPECT_EQ(levels[255], 1.0F);
}

TEST(DoubleQuant, Memory_is_that_of_the_scales_and_what_becomes_of_them) {
  for (const std::size_t n : {0U, 1U, 256U, 257U, 1000U}) {
    const NestedScales nested = nest(std::vector<float>(n, 1.0F));
    const std::size_t held = n * sizeof(float) + nested.codes.size() + nested.magnitudes.size() * sizeof(float);
    EXPECT_GE(nesting_bytes(n), held) << n;
    EXPECT_LE(nesting_bytes(n), held + sizeof(float)) << n;
  }
}

TEST(DoubleQuant, Equal_scales_have_no_magnitude_and_the_code_of_zero) {
  const NestedScales nested = nest(std::vector<float>(300, 0.25F));
  EXPECT_EQ(nested.offset, 0.25F);
  EXPECT_THAT(nested.magnitudes, testing::ElementsAre(0.0F, 0.0F));
  EXPECT_THAT(nested.codes, testing::Each(127));
}

TEST(DoubleQuant, Largest_scale_above_the_mean_comes_back) {
  const NestedScales nested = nest(std::vector<float>{0.0F, 0.0F, 3.0F});
  EXPECT_EQ(nested.offset, 1.0F);
  EXPECT_THAT(nested.magnitudes, testing::ElementsAre(2.0F));
  EXPECT_EQ(nested.codes[2], 255);
  EXPECT_EQ(nested_scale(dynamic_levels()[nested.codes[2]], nested.magnitudes[0], nested.offset), 3.0F);
}

TEST(DoubleQuant, Scales_come_back_from_any_code_on) {
  std::vector<float> scales(600);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = 0.5F + static_cast<float>(i % 13);
  const NestedScales nested = nest(scales);
  const StoredNest stored{std::as_bytes(std::span(nested.codes)), std::as_bytes(std::span(nested.magnitudes)),
                          std::as_bytes(std::span(dynamic_levels())), nested.offset};
  const std::vector<float> all = unnested(stored, 0, scales.size());
  for (std::size_t i = 0; i < scales.size(); ++i) {
    EXPECT_EQ(all[i], nested_scale(dynamic_levels()[nested.codes[i]], nested.magnitudes[i / kNestedBlock], nested.offset)) << i;
  }
  EXPECT_EQ(unnested(stored, 500, 100), std::vector<float>(all.begin() + 500, all.end()));
}

TEST(DoubleQuant, Offset_fills_its_field) {
  for (const float offset : {0.0F, 1.0F, 0.0123456789F, 1.17549435e-38F, 3.40282347e38F}) {
    EXPECT_EQ(offset_text(offset).size(), kOffsetWidth) << offset;
    EXPECT_EQ(std::stof(offset_text(offset)), offset);
  }
}

}  // namespace
}  // namespace halftone::formats
