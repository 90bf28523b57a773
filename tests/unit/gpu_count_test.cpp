#include "api/gpu_count.hpp"

#include <gtest/gtest.h>

namespace halftone::api {
namespace {

/// `layers` weights of 4096 × 4096 that learn by an optimizer of `iterations`; none where that is 0.
Plan plan_of(std::size_t layers, std::uint32_t iterations) {
  Job job{.kind = JobKind::quantize, .inputs = {{.info = {.name = "a.weight", .dtype = Dtype::BF16, .shape = {4096, 4096}}}}};
  if (iterations > 0) {
    job.learn = LearnRecipe{.method = LearnMethod::optimizer};
    job.learn->optimizer.schedule.iterations = iterations;
  }
  Plan plan;
  plan.jobs.assign(layers, job);
  return plan;
}

TEST(GpuCount, Without_layers_that_learn_it_is_one) {
  const Plan plan = plan_of(1000, 0);
  EXPECT_EQ(gpu_count(plan, 4, 64), 1U);
  EXPECT_NE(std::string(why_fewer_gpus(plan)).find("without layers that learn"), std::string::npos);
}

TEST(GpuCount, A_few_short_layers_take_one) { EXPECT_EQ(gpu_count(plan_of(4, 10), 4, 64), 1U); }

TEST(GpuCount, Long_work_takes_all_that_are_named) {
  EXPECT_EQ(gpu_count(plan_of(64, 700), 4, 64), 4U);
  EXPECT_EQ(gpu_count(plan_of(64, 700), 2, 64), 2U);
}

TEST(GpuCount, It_is_no_more_than_threads_that_give_them_work) { EXPECT_EQ(gpu_count(plan_of(64, 700), 4, 3), 3U); }

}  // namespace
}  // namespace halftone::api
