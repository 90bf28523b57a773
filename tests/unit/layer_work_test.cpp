#include "learn/layer_work.hpp"

#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "learn/rates.hpp"

namespace halftone::learn {
namespace {

/// A rank that is a fifth of the smaller dimension, whatever that is.
constexpr RankOptions kFifth{.top_p = 0.2, .min_k = 1, .max_k = 1'000'000};

Work work_of(LearnRecipe recipe, std::uint64_t rows, std::uint64_t columns, DeviceKind device = DeviceKind::cpu) {
  recipe.rank = kFifth;
  return layer_work(recipe, rows, columns, device);
}

TEST(LayerWork, A_layer_that_is_read_takes_what_its_elements_take) {
  const Work small = work_of({.method = LearnMethod::nearest}, 512, 1024);
  const Work large = work_of({.method = LearnMethod::nearest}, 1024, 4096);
  EXPECT_EQ(small.products, 0);
  EXPECT_DOUBLE_EQ(large.elements, 8 * small.elements);
  EXPECT_DOUBLE_EQ(large.copies, 8 * small.copies);
}

TEST(LayerWork, Twice_the_rows_and_columns_are_eight_times_the_products_and_four_times_the_elements) {
  for (const LearnMethod method : {LearnMethod::project, LearnMethod::closed, LearnMethod::feedback, LearnMethod::optimizer}) {
    for (const DeviceKind device : {DeviceKind::cpu, DeviceKind::gpu}) {
      const Work small = work_of({.method = method}, 2048, 2560, device);
      const Work large = work_of({.method = method}, 4096, 5120, device);
      EXPECT_NEAR(large.products / small.products, 8, 0.3) << name_of(method);
      EXPECT_DOUBLE_EQ(large.elements, 4 * small.elements) << name_of(method);
    }
  }
}

TEST(LayerWork, Each_iteration_of_an_optimizer_counts_until_it_ends_by_itself) {
  LearnRecipe recipe{.method = LearnMethod::optimizer};
  const auto elements_of = [&](std::uint32_t iterations) {
    recipe.optimizer.schedule.iterations = iterations;
    return work_of(recipe, 512, 512).elements;
  };
  EXPECT_NEAR(elements_of(200) - elements_of(100), elements_of(300) - elements_of(200), 1e-6 * elements_of(300));
  EXPECT_EQ(elements_of(100'000), elements_of(4000));
  recipe.optimizer.schedule.stop.loss = 0;
  recipe.optimizer.schedule.stop.rate = 0;
  EXPECT_GT(elements_of(100'000), 20 * elements_of(4000));
}

TEST(LayerWork, A_long_weight_takes_fewer_iterations_than_a_square_of_its_size) {
  const LearnRecipe recipe{.method = LearnMethod::optimizer};
  const double square = work_of(recipe, 1024, 1024).elements;
  EXPECT_LT(work_of(recipe, 512, 2048).elements, 0.8 * square);
  EXPECT_EQ(work_of(recipe, 512, 2048).elements, work_of(recipe, 2048, 512).elements);
}

TEST(LayerWork, Bases_load_more_kernels_than_feedback_and_alone_they_take_longer) {
  for (const bool side_by_side : {false, true}) {
    EXPECT_LT(usual_loading(LearnMethod::feedback, side_by_side).first, usual_loading(LearnMethod::project, side_by_side).first);
  }
  EXPECT_LT(usual_loading(LearnMethod::project, true).first, usual_loading(LearnMethod::project, false).first);
}

TEST(LayerWork, Efforts_and_corrections_cost_what_they_add) {
  const auto seconds = [](const LearnRecipe& recipe) {
    return seconds_of(work_of(recipe, 1024, 1024, DeviceKind::gpu), usual_rates(DeviceKind::gpu));
  };
  const LearnRecipe project{.method = LearnMethod::project};
  LearnRecipe fast = project;
  fast.effort = Effort::fast;
  LearnRecipe best = project;
  best.effort = Effort::best;
  LearnRecipe with_lora = project;
  with_lora.lora_rank = 32;
  EXPECT_LT(seconds({.method = LearnMethod::closed}), seconds(project));
  EXPECT_LT(seconds(fast), seconds(project));
  EXPECT_LT(seconds(project), seconds(best));
  EXPECT_LT(seconds(project), seconds(with_lora));
}

TEST(Rates, Rounding_an_element_takes_longer_than_a_multiplication) {
  const Rates rates = measure_rates(*cpu::make_backend()->make_engine(0));
  EXPECT_GT(rates.product, 0);
  EXPECT_GT(rates.element, rates.product);
  EXPECT_GT(rates.copy, 0);
  EXPECT_GT(rates.wait, 0);
}

}  // namespace
}  // namespace halftone::learn
