#include "learn/solve.hpp"

#include <algorithm>
#include <cmath>

#include "base/fail.hpp"
#include "learn/basis.hpp"
#include "learn/effort.hpp"
#include "learn/optimize.hpp"
#include "learn/project.hpp"

namespace halftone::learn {
namespace {

/// A layer, and all that a solver may ask of it.
struct Task {
  Engine& engine;
  const LearnRecipe& recipe;
  const FormatDescriptor& format;
  const Layer& layer;
  const Moments& moments;
  std::optional<StoredScales>& scales;  ///< those of the layer, where they are to be moved; they become those of the codes
  const std::function<void()>& check;
};

Basis basis_of(const Task& task, Memory& memory) {
  const std::uint64_t rank = rank_of(task.recipe.rank, task.layer.rows(), task.layer.columns());
  return leading_basis(task.engine, memory, task.layer.weight, rank, BasisMethod::automatic,
                       numbers_of(task.recipe.effort).power_iterations, task.recipe.seed);
}

Outcome solve_in_closed_form(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  return closed_form(task.engine, task.layer, basis_of(task, memory), levels);
}

Outcome solve_by_projection(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  const ProjectOptions options{.budget = task.recipe.mse_budget.value_or(ProjectOptions().budget),
                               .flip_passes = numbers_of(task.recipe.effort).flip_passes};
  return project(task.engine, task.layer, basis_of(task, memory), options, levels);
}

Outcome solve_with_optimizer(const Task& task, std::uint8_t* levels) {
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

/// The second moments that the weights themselves stand in for: WᵀW.
Matrix prior_moments(Engine& engine, Memory& memory, const Layer& layer) {
  const Matrix product = memory.matrix(layer.columns(), layer.columns());
  engine.multiply({.a = layer.weight, .transpose_a = true, .b = layer.weight, .c = product});
  return product;
}

bool within_budget(const LearnRecipe& recipe, const Outcome& outcome) {
  return !recipe.mse_budget || outcome.squared_error <= (1.0 + *recipe.mse_budget) * outcome.nearest_squared_error;
}

/// More damping brings the squared error back to that of rounding to nearest.
Outcome solve_with_feedback(const Task& task, std::uint8_t* levels) {
  Memory memory(task.engine);
  Moments moments = task.moments;
  const bool is_prior = moments.second.data == nullptr;
  if (is_prior) moments = {.second = prior_moments(task.engine, memory, task.layer)};
  FeedbackOptions options{.sweeps = numbers_of(task.recipe.effort).sweeps, .damping = task.recipe.damping};
  if (is_prior && !options.damping) options.damping = 1.0;
  Outcome outcome = feedback(task.engine, task.layer, moments, options, levels);
  for (int i = 0; i < 8 && outcome.iterations > 0 && !within_budget(task.recipe, outcome); ++i) {
    options.damping = 3.0 * outcome.damping;
    outcome = feedback(task.engine, task.layer, moments, options, levels);
  }
  return outcome;
}

/// What a method does, and by which measure it must gain.
struct Solver {
  LearnMethod method;
  Outcome (*solve)(const Task&, std::uint8_t* levels);
  double Outcome::*measure;
  double Outcome::*measure_of_nearest;
  const char* no_gain;  ///< said where the measure would not be smaller
};

constexpr Solver kSolvers[] = {
    {LearnMethod::closed, solve_in_closed_form, &Outcome::loss, &Outcome::nearest_loss, "its loss would not be smaller"},
    {LearnMethod::project, solve_by_projection, &Outcome::loss, &Outcome::nearest_loss,
     "no codes within the budget of the squared error make its loss smaller"},
    {LearnMethod::feedback, solve_with_feedback, &Outcome::output_error, &Outcome::nearest_output_error,
     "its output error would not be smaller"},
    {LearnMethod::optimizer, solve_with_optimizer, &Outcome::loss, &Outcome::nearest_loss, "its loss would not be smaller"},
};

const Solver& solver_of(LearnMethod method) {
  const auto* found = std::find_if(std::begin(kSolvers), std::end(kSolvers), [&](const Solver& solver) { return solver.method == method; });
  if (found == std::end(kSolvers)) fail(ErrorKind::internal, "there is no solver for the method {}", static_cast<int>(method));
  return *found;
}

std::optional<double> ratio(double now, double before) {
  if (!(before > 0)) return std::nullopt;
  return now / before;
}

/// Why the outcome is not taken; empty where it is.
std::string objection(const Solver& solver, const LearnRecipe& recipe, const Outcome& outcome) {
  if (outcome.iterations == 0) return outcome.stop_reason;
  if (!std::isfinite(outcome.squared_error) || !std::isfinite(outcome.loss) || !std::isfinite(outcome.output_error)) {
    return "its result is not finite";
  }
  if (!(outcome.*solver.measure < outcome.*solver.measure_of_nearest)) return solver.no_gain;
  if (!within_budget(recipe, outcome)) return "its squared error would exceed the budget";
  return {};
}

}  // namespace

LearnedLayer solve(Engine& engine, const LearnRecipe& recipe, QuantizedWeight& weight, const Moments& moments,
                   const std::function<void()>& check) {
  LearnedLayer report{.method = recipe.method};
  if (recipe.method == LearnMethod::nearest) return report;
  const Layer& layer = weight.layer();
  report.elements = layer.elements();
  Memory memory(engine);
  auto* levels = memory.array<std::uint8_t>(layer.elements());
  std::optional<StoredScales> scales;
  if (recipe.method == LearnMethod::optimizer && recipe.optimizer.scales != ScaleOptimization::fixed) scales = weight.stored_scales();
  const Solver& solver = solver_of(recipe.method);
  const Outcome outcome = solver.solve({engine, recipe, weight.format(), layer, moments, scales, check}, levels);
  report.rank = outcome.rank;
  report.captured_energy = outcome.captured_energy;
  report.basis_residual = outcome.basis_residual;
  report.damping = outcome.damping;
  report.iterations = outcome.iterations;
  report.stop_reason = outcome.stop_reason;
  report.kept_nearest_because = objection(solver, recipe, outcome);
  if (!report.kept_nearest_because.empty()) {
    report.method = LearnMethod::nearest;
    return report;
  }
  report.loss_ratio = ratio(outcome.loss, outcome.nearest_loss);
  report.squared_error_ratio = ratio(outcome.squared_error, outcome.nearest_squared_error);
  report.output_error_ratio = ratio(outcome.output_error, outcome.nearest_output_error);
  if (scales) report.moved_scales = weight.take_scales(*scales);
  report.changed = weight.take(levels);
  return report;
}

bool move_target(Engine& engine, const Matrix& weight, const Moments& moments, std::optional<double> damping) {
  const std::uint64_t columns = weight.columns;
  const double normaliser = normaliser_of(engine, moments.second);
  if (normaliser == 0) return true;
  const double added = damping.value_or(damping_for(columns, moments.count));
  Memory memory(engine);
  const Matrix second = damped(engine, memory, moments.second, normaliser, added);
  const Matrix cross = damped(engine, memory, moments.cross, normaliser, added);
  if (!engine.cholesky(second)) return true;
  engine.invert_lower(second);
  // (H + λ I)⁻¹ = L⁻ᵀ L⁻¹.
  const Matrix product = memory.matrix(weight.rows, columns);
  const Matrix half = memory.matrix(weight.rows, columns);
  engine.multiply({.a = weight, .b = cross, .c = product, .full_precision = true});
  engine.multiply({.a = product, .b = second, .transpose_b = true, .c = half, .full_precision = true});
  engine.multiply({.a = half, .b = second, .c = product, .full_precision = true});
  const double before = engine.squared_norm(weight);
  engine.add_scaled(product, -1.0F, weight);
  const double change = engine.squared_norm(weight);
  engine.copy(product.data, weight.data, weight.rows * columns * sizeof(float));
  return change <= before;
}

}  // namespace halftone::learn
