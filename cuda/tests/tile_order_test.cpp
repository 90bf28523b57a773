// The order of the tiles of a product; it needs no GPU.
#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "matmul/tile_order.cuh"

namespace halftone::test {
namespace {

using cuda::matmul::TileOrder;

TEST(TileOrder, Every_tile_comes_once) {
  for (const TileOrder& order : {TileOrder{1, 1, 16}, TileOrder{7, 5, 3}, TileOrder{16, 9, 4}, TileOrder{3, 40, 8}, TileOrder{33, 1, 16}}) {
    std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
    for (std::uint32_t index = 0; index < order.count(); ++index) {
      const TileOrder::Place place = order.place(index);
      EXPECT_LT(place.row, order.rows);
      EXPECT_LT(place.column, order.columns);
      seen.emplace(place.row, place.column);
    }
    EXPECT_EQ(seen.size(), order.count()) << order.rows << " x " << order.columns << " in bands of " << order.band;
  }
}

TEST(TileOrder, Tiles_that_follow_each_other_share_a_band) {
  constexpr TileOrder kOrder{16, 9, 4};
  for (std::uint32_t index = 0; index < 4 * 9; ++index) EXPECT_LT(kOrder.place(index).row, 4U);
  EXPECT_EQ(kOrder.place(4).column, 1U);
}

}  // namespace
}  // namespace halftone::test
