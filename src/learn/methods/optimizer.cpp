#include <algorithm>

#include "learn/effort.hpp"
#include "learn/method.hpp"
#include "learn/optimize.hpp"
#include "learn/optimizer_run.hpp"

namespace halftone::learn::methods {
namespace {

// Of an element, in multiplications of large products on one thread of a processor (AVX2, measured).
constexpr double kStep = 110;

Outcome solve(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  OptimizeOptions options = conventions({.settings = task.recipe.optimizer}, task.format, largest_scale(task.engine, task.layer));
  if (task.scales) options.scales = &*task.scales;
  if (task.recipe.mse_budget) options.scale_budget = *task.recipe.mse_budget;
  options.check = task.check;
  options.full_precision = false;  // what is lost is far below what the last rounding makes of it
  if (task.recipe.optimizer.full_loss) return optimize(task.engine, task.layer, nullptr, options, levels).outcome;
  const Basis basis = basis_of(task, memory);
  Outcome outcome = optimize(task.engine, task.layer, &basis, options, levels).outcome;
  outcome.rank = basis.rank;
  return outcome;
}

std::uint64_t loop_bytes(const LearnRecipe& recipe, const Extent& extent) {
  const OptimizerSettings& settings = recipe.optimizer;
  std::uint64_t matrices = 4;  // errors, gradient, offsets of two iterates
  matrices += with_optimizer(settings.optimizer, [&]<class O>(O) {
    return static_cast<std::uint64_t>(O::kElementwise || !Prodigy::is_factored(extent.rows, extent.columns) ? O::kMoments : 1);
  });
  if (settings.variant.schedule_free) ++matrices;
  if (settings.scales != ScaleOptimization::fixed) matrices += 2;  // first errors of their own, rounded levels, grids and sums
  const std::uint64_t sampled = settings.optimizer == Optimizer::prodigy ? extent.weight() / Prodigy::kSampling * 2 * sizeof(float) : 0;
  const std::uint64_t between = 4 * extent.sides() * extent.rank + 2 * extent.rank * extent.rank;
  return (matrices * extent.weight() + between) * sizeof(float) + sampled + scratch_elements(extent.rows, extent.columns) * sizeof(double) +
         extent.sides() * sizeof(float);
}

std::uint64_t bytes(const LearnRecipe& recipe, const Extent& extent) {
  if (recipe.optimizer.full_loss) return loop_bytes(recipe, {extent.rows, extent.columns, 0});
  return std::max(basis_search_bytes(extent), basis_bytes(extent) + loop_bytes(recipe, extent));
}

Work work(const LearnRecipe& recipe, const Extent& extent) {
  const double steps = recipe.optimizer.schedule.iterations;
  const Work step{0, kStep * static_cast<double>(extent.weight())};
  if (recipe.optimizer.full_loss) return steps * step;
  Work work = basis_work(extent, numbers_of(recipe.effort).power_iterations);
  work += steps * slope_work(extent);
  return work += steps * step;
}

}  // namespace

constinit const Method optimizer = {
    solve, &Outcome::loss, &Outcome::nearest_loss, "its loss would not be smaller", bytes, work,
};

}  // namespace halftone::learn::methods
