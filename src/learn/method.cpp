#include "learn/method.hpp"

namespace halftone::learn {

Basis basis_of(const Task& task, Memory& memory) {
  const std::uint64_t rank = rank_of(task.recipe.rank, task.layer.rows(), task.layer.columns());
  const int iterations = power_iterations(task.recipe.effort, rank, task.layer.rows(), task.layer.columns());
  return leading_basis(task.engine, memory, task.layer.weight, rank, BasisMethod::automatic, iterations, task.recipe.seed);
}

bool within_budget(const LearnRecipe& recipe, const Outcome& outcome) {
  return !recipe.mse_budget || outcome.squared_error <= (1.0 + *recipe.mse_budget) * outcome.nearest_squared_error;
}

const Method& method_of(LearnMethod method) {
  static constexpr const Method* kFound[] = {
#define HALFTONE_LEARN_METHOD(name, needs, meaning) &methods::name,
#include <halftone/learn_method.def>
#undef HALFTONE_LEARN_METHOD
  };
  return *kFound[static_cast<std::size_t>(method)];
}

}  // namespace halftone::learn
