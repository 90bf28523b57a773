#include "learn/project.hpp"

#include <algorithm>

#include "learn/effort.hpp"
#include "learn/method.hpp"

namespace halftone::learn::methods {
namespace {

ProjectOptions options_of(const LearnRecipe& recipe) {
  ProjectOptions options{.flips = numbers_of(recipe.effort).flips};
  if (recipe.mse_budget) options.budget = *recipe.mse_budget;
  return options;
}

Outcome solve(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  return learn::project(task.engine, task.layer, basis_of(task, memory), options_of(task.recipe), levels);
}

/// Flips usually end by themselves after so many passes.
constexpr int kUsualFlips = 24;

Workload work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device) {
  const ProjectOptions options = options_of(recipe);
  Workload work = basis_work(recipe, extent, device);
  return work += projection_work(extent, options.descents + std::min(options.flips.passes, kUsualFlips), device);
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
