#include "learn/project.hpp"

#include "learn/effort.hpp"
#include "learn/method.hpp"

namespace halftone::learn::methods {
namespace {

ProjectOptions options_of(const LearnRecipe& recipe) {
  const EffortNumbers numbers = numbers_of(recipe.effort);
  return {.budget = recipe.mse_budget.value_or(numbers.budget), .flips = numbers.flips, .seed = recipe.seed};
}

Outcome solve(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  return learn::project(task.engine, task.layer, basis_of(task, memory), options_of(task.recipe), levels);
}

Workload work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device) {
  const ProjectOptions options = options_of(recipe);
  Workload work = basis_work(recipe, extent, device);
  return work += projection_work(extent, options.descents + options.flips.passes, device);
}

}  // namespace

constinit const Method project = {
    solve,
    &Outcome::loss,
    &Outcome::nearest_loss,
    "no codes within the budget of the squared error make its loss smaller",
    bytes_of_projection,
    work,
};

}  // namespace halftone::learn::methods
