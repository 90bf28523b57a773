#include "api/device_start.hpp"

#include <tuple>

#include <gtest/gtest.h>

#include <halftone/error.hpp>

namespace halftone::api {
namespace {

/// GPUs that no machine has, and which of them a program was told of.
struct Absent {
  std::vector<std::vector<int>> told;
  RunOptions options{.device = "cuda:998,999", .before_gpus = [this](const std::vector<int>& used) { told.push_back(used); }};
};

TEST(DeviceStart, A_program_is_told_that_any_gpu_will_do) {
  for (const std::string device : {"auto", "cuda", "cpu"}) {
    std::vector<std::vector<int>> told;
    const RunOptions options{.device = device, .before_gpus = [&](const std::vector<int>& used) { told.push_back(used); }};
    DeviceStart start(options);
    start.begin_for({});
    EXPECT_EQ(told.size(), device == "cpu" ? 0U : 1U) << device;
    for (const std::vector<int>& used : told) EXPECT_TRUE(used.empty()) << device;
  }
}

TEST(DeviceStart, A_plan_is_made_on_the_device_that_runs_it) {
  const RunOptions options{.device = "cpu"};
  DeviceStart start(options);
  const Backend* const backend = &start.for_plan();
  start.begin_for({});
  EXPECT_EQ(start.take().get(), backend);
  EXPECT_EQ(start.unused({}), "");
}

TEST(DeviceStart, Gpus_that_are_not_worth_their_start_are_not_shown) {
  Absent absent;
  DeviceStart start(absent.options);
  EXPECT_TRUE(absent.told.empty());
  start.begin_for({});
  EXPECT_EQ(absent.told, std::vector<std::vector<int>>{{998}});
  EXPECT_THROW(std::ignore = start.take(), Error);
  EXPECT_TRUE(start.unused({}).starts_with("cuda:999 not used: "));
}

TEST(DeviceStart, A_plan_that_measures_leaves_all_gpus_to_be_chosen_from) {
  Absent absent;
  DeviceStart start(absent.options);
  EXPECT_THROW(std::ignore = start.for_plan(), Error);
  EXPECT_EQ(absent.told, (std::vector<std::vector<int>>{{998, 999}}));
}

}  // namespace
}  // namespace halftone::api
