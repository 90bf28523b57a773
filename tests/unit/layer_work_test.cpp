#include "learn/layer_work.hpp"

#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "learn/rates.hpp"

namespace halftone::learn {
namespace {

/// A rank that is a fifth of the smaller dimension, whatever that is.
constexpr RankOptions kFifth{.top_p = 0.2, .min_k = 1, .max_k = 1'000'000};

Workload work_of(LearnRecipe recipe, std::uint64_t rows, std::uint64_t columns, DeviceKind device = DeviceKind::cpu,
                 const QuantSpec& spec = {.format = &format_named("fp8")}) {
  recipe.rank = kFifth;
  return layer_work(recipe, spec, rows, columns, device);
}

TEST(LayerWork, A_layer_that_is_read_takes_what_its_elements_take) {
  const Workload small = work_of({.method = LearnMethod::nearest}, 512, 1024);
  const Workload large = work_of({.method = LearnMethod::nearest}, 1024, 4096);
  EXPECT_EQ(small.products, 0);
  EXPECT_DOUBLE_EQ(large.elements, 8 * small.elements);
  EXPECT_DOUBLE_EQ(large.copies, 8 * small.copies);
}

TEST(LayerWork, Twice_the_rows_and_columns_are_eight_times_the_products_and_four_times_the_elements) {
  for (const LearnMethod method : {LearnMethod::project, LearnMethod::closed, LearnMethod::feedback, LearnMethod::optimizer}) {
    for (const DeviceKind device : {DeviceKind::cpu, DeviceKind::gpu}) {
      const Workload small = work_of({.method = method}, 2048, 2560, device);
      const Workload large = work_of({.method = method}, 4096, 5120, device);
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

/// Elements that a search for scales adds, of each of the weight.
double searched(const char* format, bool is_weighted, std::uint64_t rows, std::uint64_t columns, DeviceKind device) {
  LearnRecipe recipe{.method = LearnMethod::nearest};
  if (is_weighted) recipe.statistics.second_moment.emplace();
  const QuantSpec plain{.format = &format_named(format)};
  QuantSpec search = plain;
  search.scales = ScaleMethod::search;
  const double more = work_of(recipe, rows, columns, device, search).elements - work_of(recipe, rows, columns, device, plain).elements;
  return more / static_cast<double>(rows * columns);
}

TEST(LayerWork, A_search_for_scales_takes_what_its_candidates_take_and_more_with_weights) {
  for (const DeviceKind device : {DeviceKind::cpu, DeviceKind::gpu}) {
    for (const char* format : {"fp8-row", "int8-block", "nvfp4", "nf4"}) {
      const double plain = searched(format, false, 512, 1024, device);
      EXPECT_GT(plain, 0) << format;
      EXPECT_NEAR(searched(format, false, 1024, 4096, device), plain, 1e-9 * plain) << format;
      EXPECT_GT(searched(format, true, 512, 1024, device), 5 * plain) << format;
    }
    // 36 scales of integers, 24 of floats; half as many levels of 4 bits.
    EXPECT_NEAR(searched("int8-block", true, 512, 512, device) / searched("fp8-row", true, 512, 512, device), 36.0 / 24.0, 1e-9);
    EXPECT_LT(searched("nf4", true, 512, 512, device), searched("int8-block", true, 512, 512, device));
    EXPECT_EQ(searched("int8", true, 512, 512, device), searched("int8", false, 512, 512, device));
  }
}

TEST(LayerWork, A_correction_by_outputs_takes_the_products_of_their_moments) {
  LearnRecipe recipe{.method = LearnMethod::nearest};
  recipe.lora_rank = 16;
  const auto products_of = [&](std::uint64_t side) { return work_of(recipe, side, side).products; };
  const double of_weight = products_of(1024);
  recipe.statistics.second_moment.emplace();
  EXPECT_GT(products_of(1024), 2 * of_weight);
  EXPECT_NEAR(products_of(4096) / products_of(2048), 8, 1);
}

TEST(LayerWork, A_smaller_budget_takes_more_solutions_but_no_more_copies) {
  LearnRecipe recipe{.method = LearnMethod::feedback};
  const Workload once = work_of(recipe, 512, 512);
  double last = once.products;
  for (const double budget : {0.3, 0.03, 0.003}) {
    recipe.mse_budget = budget;
    const Workload work = work_of(recipe, 512, 512);
    EXPECT_GT(work.products, 1.3 * last);
    EXPECT_EQ(work.copies, once.copies);
    last = work.products;
  }
  recipe.mse_budget = 0;
  EXPECT_NEAR(work_of(recipe, 512, 512).products, 9 * once.products, 1e-6 * last);
  recipe.mse_budget = 10;
  EXPECT_EQ(work_of(recipe, 512, 512).products, once.products);
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
