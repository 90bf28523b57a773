#include "learn/layer_bytes.hpp"

#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "learn/quantized_weight.hpp"
#include "learn/solve.hpp"
#include "support/format_spec.hpp"
#include "support/learn_problem.hpp"

namespace halftone::learn {
namespace {

struct BytesCase {
  std::string name;
  LearnRecipe recipe;
};

LearnRecipe recipe_of(LearnMethod method) {
  LearnRecipe recipe{.method = method};
  recipe.rank.min_k = 32;
  return recipe;
}

std::vector<BytesCase> bytes_cases() {
  std::vector<BytesCase> cases;
  for (const LearnMethod method : kLearnMethods) {
    if (method == LearnMethod::optimizer) continue;  // below, with each of its settings
    cases.push_back({std::string(name_of(method)), recipe_of(method)});
  }
  const auto optimizer = [&](const char* name, OptimizerSettings settings) {
    settings.schedule.iterations = 8;
    cases.push_back({name, recipe_of(LearnMethod::optimizer)});
    cases.back().recipe.optimizer = settings;
  };
  cases.push_back({"prior", recipe_of(LearnMethod::feedback)});
  cases.back().recipe.prior_weights = true;
  optimizer("original", {.optimizer = Optimizer::original});
  optimizer("adamw", {.optimizer = Optimizer::adamw});
  optimizer("prodigy", {.optimizer = Optimizer::prodigy});
  optimizer("schedule_free", {.variant = {.schedule_free = true}});
  optimizer("full_loss", {.full_loss = true});
  optimizer("joint", {.scales = ScaleOptimization::joint});
  return cases;
}

class LayerBytes : public testing::TestWithParam<BytesCase> {};

/// What a layer takes on the engine of a processor is not more than what is foreseen, and no less than half of it.
TEST_P(LayerBytes, Are_foreseen) {
  const auto backend = cpu::make_backend();
  for (const char* format : {"fp8", "nvfp4", "int8-block"}) {
    for (const auto& [rows, columns] : {std::pair<std::uint64_t, std::uint64_t>{512, 768}, {768, 384}}) {
      const QuantSpec spec = test::default_spec(format_named(format));
      const auto engine = backend->make_engine(0);
      Memory memory(*engine);
      const std::vector<float> values = test::gaussian_weight(rows * columns, 3);
      const Matrix weight = memory.matrix_of(values.data(), rows, columns);
      LearnRecipe recipe = GetParam().recipe;
      Moments moments;
      if (uses_moments(recipe.method) && !recipe.prior_weights) {
        recipe.statistics.second_moment.emplace();
        moments.second = memory.matrix(columns, columns);
        engine->multiply({.a = weight, .transpose_a = true, .b = weight, .c = moments.second});
      }
      const formats::LayerLayout layout(spec, rows, columns);
      QuantizedWeight quantized(*engine, spec, layout, weight);
      quantized.round_to_nearest(codec::from_bits(engine->largest(weight.data, rows * columns)), {});
      std::ignore = quantized.layer();  // which a bias needs where no solver does
      std::ignore = solve(*engine, recipe, quantized, moments);
      const std::uint64_t foreseen = layer_bytes(recipe, spec, rows, columns);
      EXPECT_LE(engine->peak_bytes(), foreseen) << format << " " << rows << " x " << columns;
      EXPECT_GE(2 * engine->peak_bytes(), foreseen) << format << " " << rows << " x " << columns;
    }
  }
}

/// Its directions are counted, and its basis is found twice.
TEST_P(LayerBytes, Suffice_for_a_weight_of_one_direction) {
  const auto backend = cpu::make_backend();
  for (const auto& [rows, columns] : {std::pair<std::uint64_t, std::uint64_t>{512, 768}, {768, 384}, {128, 2048}}) {
    LearnRecipe recipe = GetParam().recipe;
    if (uses_moments(recipe.method)) continue;
    recipe.rank = {};
    const QuantSpec spec = test::default_spec(format_named("fp8"));
    const auto engine = backend->make_engine(0);
    Memory memory(*engine);
    std::vector<float> values = test::gaussian_weight(columns, 3);
    while (values.size() < rows * columns) values.push_back(values[values.size() - columns]);
    const Matrix weight = memory.matrix_of(values.data(), rows, columns);
    const formats::LayerLayout layout(spec, rows, columns);
    QuantizedWeight quantized(*engine, spec, layout, weight);
    quantized.round_to_nearest(codec::from_bits(engine->largest(weight.data, rows * columns)), {});
    std::ignore = solve(*engine, recipe, quantized, {});
    EXPECT_LE(engine->peak_bytes(), layer_bytes(recipe, spec, rows, columns)) << rows << " x " << columns;
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, LayerBytes, testing::ValuesIn(bytes_cases()), [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace halftone::learn
