#include "learn/device_count.hpp"

#include <gtest/gtest.h>

namespace halftone::learn {
namespace {

constexpr DeviceCost kCost{.start = 0.3, .delay = 0.1};

TEST(DeviceCount, Without_layers_it_is_one) { EXPECT_EQ(device_count({}, 4, kCost), 1U); }

TEST(DeviceCount, A_layer_is_not_divided) { EXPECT_EQ(device_count({100.0}, 4, kCost), 1U); }

TEST(DeviceCount, Work_that_is_done_before_another_has_started_takes_one) {
  EXPECT_EQ(device_count(std::vector<double>(10, 0.03), 4, kCost), 1U);
}

// 0.5 s left for two: (1.0 + 0.3) / 2 and the delay of 0.1 are less than 1.0.
TEST(DeviceCount, A_second_one_is_worth_what_it_saves_beyond_its_delay) {
  EXPECT_EQ(device_count(std::vector<double>(100, 0.01), 2, kCost), 2U);
  EXPECT_EQ(device_count(std::vector<double>(100, 0.004), 2, kCost), 1U);
}

TEST(DeviceCount, Long_work_takes_all_that_are_named) {
  EXPECT_EQ(device_count(std::vector<double>(57, 0.3), 4, kCost), 4U);
  EXPECT_EQ(device_count(std::vector<double>(57, 0.3), 3, kCost), 3U);
}

// Three layers of ten seconds: a fourth device would have nothing to do.
TEST(DeviceCount, It_is_no_more_than_there_are_layers) { EXPECT_EQ(device_count({10, 10, 10}, 8, kCost), 3U); }

// The largest layer takes longer than all others.
TEST(DeviceCount, One_large_layer_bounds_what_others_can_save) { EXPECT_EQ(device_count({5, 30, 5, 5, 5, 5}, 8, kCost), 2U); }

}  // namespace
}  // namespace halftone::learn
