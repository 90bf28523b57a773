#include "learn/feedback.hpp"

#include <algorithm>
#include <cmath>

#include "learn/effort.hpp"
#include "learn/method.hpp"

namespace halftone::learn::methods {
namespace {

/// What things take on each kind of device, in the units of Workload (measured: AVX2 and AVX-512, H100).
struct Costs {
  double rounding;      ///< elements, of each: rounding it in view of others
  double products;      ///< products, of each
  double copies;        ///< copies, of each second moment: reading it, and what the host does for it
  double column_waits;  ///< of a column in a round
};
constexpr PerDevice<Costs> kCosts{.processor = {.rounding = 3.2, .products = 1, .copies = 1, .column_waits = 0},
                                  .gpu = {.rounding = 1, .products = 2, .copies = 1.35, .column_waits = 0.055}};

constexpr double kFactor = 0.35;  // products: a Cholesky factor, by the cube of its side

/// The second moments that the weights themselves stand in for: WᵀW.
Matrix prior_moments(Engine& engine, Memory& memory, const Layer& layer) {
  const Matrix product = memory.matrix(layer.columns(), layer.columns());
  engine.multiply({.a = layer.weight, .transpose_a = true, .b = layer.weight, .c = product});
  return product;
}

constexpr int kMostRetries = 8;

/// More damping brings the squared error back to that of rounding to nearest.
Outcome solve(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  Moments moments = task.moments;
  FeedbackOptions options{.sweeps = numbers_of(task.recipe.effort).sweeps, .damping = task.recipe.damping};
  if (task.recipe.prior_weights) {
    moments = {.second = prior_moments(task.engine, memory, task.layer)};
    if (!options.damping) options.damping = 1.0;
  }
  Outcome outcome = learn::feedback(task.engine, task.layer, moments, options, levels);
  for (int i = 0; i < kMostRetries && outcome.iterations > 0 && !within_budget(task.recipe, outcome); ++i) {
    options.damping = 3.0 * outcome.damping;
    outcome = learn::feedback(task.engine, task.layer, moments, options, levels);
  }
  return outcome;
}

/// Weight, errors and scratch in another order, with their levels; moments and their factors.
std::uint64_t bytes(const LearnRecipe& recipe, const Extent& extent) {
  const std::uint64_t prior = recipe.prior_weights ? extent.moments() * sizeof(float) : 0;
  return extent.weight() * (3 * sizeof(float) + 1) + 4 * extent.moments() * sizeof(float) + prior;
}

/// How many times a layer is solved until its squared error is within the budget: 2 to 6 times for 0.3 to 0.003.
double usual_solutions(const LearnRecipe& recipe) {
  if (!recipe.mse_budget) return 1;
  const double most = kMostRetries + 1;
  return *recipe.mse_budget > 0 ? std::clamp(1 - 0.8 * std::log(*recipe.mse_budget), 1.0, most) : most;
}

Workload work(const LearnRecipe& recipe, const Extent& extent, DeviceKind device) {
  const Costs& costs = kCosts.of(device);
  const auto rows = static_cast<double>(extent.rows);
  const auto columns = static_cast<double>(extent.columns);
  const double sweeps = numbers_of(recipe.effort).sweeps;
  const double products = kFactor * columns * columns * columns + (3.3 + sweeps) * rows * columns * columns;
  Workload work = usual_solutions(recipe) * Workload{.products = costs.products * products,
                                                     .elements = (1 + sweeps) * costs.rounding * rows * columns,
                                                     .waits = costs.column_waits * (1 + sweeps) * columns};
  work.copies = costs.copies * columns * columns;
  return work;
}

}  // namespace

constinit const Method feedback = {
    solve, &Outcome::output_error, &Outcome::nearest_output_error, "its output error would not be smaller", bytes, work,
};

}  // namespace halftone::learn::methods
