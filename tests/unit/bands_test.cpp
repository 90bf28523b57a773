#include "exec/bands.hpp"

#include <gtest/gtest.h>

namespace halftone::exec {
namespace {

/// Sizes of all bands.
std::vector<std::uint64_t> sizes(const Bands& bands) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t band = 0; band < bands.count(); ++band) sizes.push_back(bands.size(band));
  return sizes;
}

using Sizes = std::vector<std::uint64_t>;

TEST(Bands, Units_that_fit_share_a_band) { EXPECT_EQ(sizes(Bands(10, 100, 1, 399)), (Sizes{3, 3, 3, 1})); }

TEST(Bands, Unit_larger_than_a_band_stands_alone) { EXPECT_EQ(sizes(Bands(3, 1000, 1, 399)), (Sizes{1, 1, 1})); }

TEST(Bands, Bands_are_whole_multiples_but_for_the_last) { EXPECT_EQ(sizes(Bands(200, 1, 64, 130)), (Sizes{128, 72})); }

TEST(Bands, Multiple_larger_than_a_band_stands_alone) { EXPECT_EQ(sizes(Bands(200, 10, 64, 100)), (Sizes{64, 64, 64, 8})); }

TEST(Bands, Nothing_has_no_bands) {
  EXPECT_EQ(Bands(0, 100, 1, 399).count(), 0U);
  EXPECT_EQ(Bands().count(), 0U);
}

TEST(Bands, Units_without_bytes_share_one_band) { EXPECT_EQ(sizes(Bands(7, 0, 1, 399)), (Sizes{7})); }

TEST(Bands, First_unit_follows_the_band_before) {
  const Bands bands(10, 100, 1, 399);
  EXPECT_EQ(bands.first(0), 0U);
  EXPECT_EQ(bands.first(3), 9U);
}

}  // namespace
}  // namespace halftone::exec
