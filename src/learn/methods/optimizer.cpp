#include <algorithm>
#include <cmath>

#include "learn/method.hpp"
#include "learn/optimize.hpp"
#include "learn/optimizer_run.hpp"

namespace halftone::learn::methods {
namespace {

/// What an iteration takes on each kind of device, in the units of Workload (measured: AVX2 and AVX-512, H100).
struct Costs {
  double slope;            ///< products, of each within the slope
  double step;             ///< elements, of each: a step without moments
  double step_by_moments;  ///< the same, for each moment more
  double whole_step;       ///< the same more, of an optimizer whose steps need sums over the weight
  double waits;
};
constexpr PerDevice<Costs> kCosts{.processor = {.slope = 1, .step = 0.2, .step_by_moments = 0.08, .whole_step = 0.25, .waits = 0},
                                  .gpu = {.slope = 0.6, .step = 1.2, .step_by_moments = 0.6, .whole_step = 0, .waits = 1}};

/// On a square.
double usual_iterations(Optimizer optimizer, DeviceKind device) {
  const UsualIterations usual = with_optimizer(optimizer, []<class O>(O) { return O::kUsualIterations; });
  return device == DeviceKind::gpu ? usual.gpu : usual.cpu;
}

/// How many of them it takes on other weights: 0.57 and 0.59 of 500 and 440 with sides of 1 : 4.
double part_of_iterations(const Extent& extent) {
  const auto [smaller, larger] = std::minmax(extent.rows, extent.columns);
  return std::pow(static_cast<double>(smaller) / static_cast<double>(larger), 0.4);
}

Outcome solve(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  OptimizeOptions options = conventions({.settings = task.recipe.optimizer}, task.format, largest_scale(task.engine, task.layer));
  if (task.scales) options.scales = &*task.scales;
  if (task.recipe.mse_budget) options.scale_budget = *task.recipe.mse_budget;
  options.check = task.check;
  options.full_precision = false;  // what is lost is far below what the last rounding makes of it
  if (task.recipe.optimizer.full_loss) return optimize(task.engine, task.layer, nullptr, options, levels).outcome;
  const Basis basis = basis_of(task, memory);
  return optimize(task.engine, task.layer, &basis, options, levels).outcome;
}

std::uint64_t loop_bytes(const LearnRecipe& recipe, const Extent& extent) {
  const OptimizerSettings& settings = recipe.optimizer;
  std::uint64_t matrices = 4;  // errors, gradient, offsets of two iterates
  matrices += static_cast<std::uint64_t>(matrices_of_moments(settings.optimizer, extent.rows, extent.columns));
  if (settings.variant.schedule_free) ++matrices;
  if (settings.scales != ScaleOptimization::fixed) matrices += 2;  // first errors of their own, rounded levels, grids and sums
  const std::uint64_t sampled = 2 * sampled_elements(settings.optimizer, extent.weight()) * sizeof(float);
  // On a GPU two steps are made together: of binary16, the gradient of the first one waits for the second.
  const bool keeps_gradient = with_optimizer(settings.optimizer, []<class O>(O) { return O::kKeepsGradient; });
  const std::uint64_t former_gradient = keeps_gradient ? extent.weight() * sizeof(float) / 2 : 0;
  const std::uint64_t between = 4 * extent.sides() * extent.rank + 2 * extent.rank * extent.rank;
  return (matrices * extent.weight() + between) * sizeof(float) + sampled + former_gradient +
         scratch_elements(extent.rows, extent.columns) * sizeof(double) + extent.sides() * sizeof(float);
}

std::uint64_t bytes(const LearnRecipe& recipe, const Extent& extent) {
  if (recipe.optimizer.full_loss) return loop_bytes(recipe, {extent.rows, extent.columns, 0});
  return bytes_with_basis(extent, loop_bytes(recipe, extent));
}

Workload steps_work(const OptimizerSettings& settings, const Extent& extent, DeviceKind device) {
  const Costs& costs = kCosts.of(device);
  const double step = with_optimizer(settings.optimizer, [&]<class O>(O) {
    return costs.step + (O::kElementwise ? O::kMoments * costs.step_by_moments : costs.step_by_moments + costs.whole_step);
  });
  const StopRule& stop = settings.schedule.stop;
  const double most = settings.schedule.iterations;
  const double steps =
      stop.loss > 0 || stop.rate > 0 ? std::min(most, part_of_iterations(extent) * usual_iterations(settings.optimizer, device)) : most;
  return steps * Workload{.products = settings.full_loss ? 0.0 : costs.slope * slope_products(extent),
                          .elements = step * static_cast<double>(extent.weight()),
                          .waits = costs.waits};
}

Workload work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device) {
  Workload work = steps_work(recipe.optimizer, extent, device);
  if (!recipe.optimizer.full_loss) work += basis_work(recipe, extent, device);
  return work;
}

}  // namespace

constinit const Method optimizer = {
    solve, &Outcome::loss, &Outcome::nearest_loss, "its loss would not be smaller", bytes, work,
};

}  // namespace halftone::learn::methods
