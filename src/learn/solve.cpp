#include "learn/solve.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/fail.hpp"
#include "learn/basis.hpp"
#include "learn/optimize.hpp"
#include "learn/project.hpp"

namespace halftone::learn {
namespace {

int power_iterations(Effort effort) {
  switch (effort) {
    case Effort::fast: return 2;
    case Effort::usual: return 4;
    case Effort::best: return 12;
  }
  return 4;
}

Basis basis_of(Engine& engine, Memory& memory, const Layer& layer, const LearnRecipe& recipe) {
  const std::uint64_t rank = rank_of(recipe.rank, layer.rows(), layer.columns());
  return leading_basis(engine, memory, layer.weight, rank, BasisMethod::automatic, power_iterations(recipe.effort), recipe.seed);
}

Outcome solve_in_basis(Engine& engine, const LearnRecipe& recipe, const Layer& layer, std::uint8_t* levels) {
  Memory memory(engine);
  const Basis basis = basis_of(engine, memory, layer, recipe);
  if (recipe.method == LearnMethod::closed) return closed_form(engine, layer, basis, levels);
  const double budget = recipe.mse_budget.value_or(ProjectOptions().budget);
  const ProjectOptions options{.budget = budget,
                               .flip_passes = recipe.effort == Effort::fast   ? 8
                                              : recipe.effort == Effort::best ? 32
                                                                              : 16};
  return project(engine, layer, basis, options, levels);
}

/// `scales`: those of the layer, where they are to be moved; they become those of the codes.
Outcome solve_with_optimizer(Engine& engine, const LearnRecipe& recipe, const FormatDescriptor& format, const Layer& layer,
                             std::optional<StoredScales>& scales, const std::function<void()>& check, std::uint8_t* levels) {
  Memory memory(engine);
  OptimizeOptions options = conventions({.settings = recipe.optimizer}, format, largest_scale(engine, layer));
  if (scales) options.scales = &*scales;
  if (recipe.mse_budget) options.scale_budget = *recipe.mse_budget;
  options.check = check;
  options.full_precision = false;  // what is lost is far below what the last rounding makes of it
  if (recipe.optimizer.full_loss) return optimize(engine, layer, nullptr, options, levels).outcome;
  const Basis basis = basis_of(engine, memory, layer, recipe);
  return optimize(engine, layer, &basis, options, levels).outcome;
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
Outcome solve_with_feedback(Engine& engine, const LearnRecipe& recipe, const Layer& layer, const Moments& given, std::uint8_t* levels) {
  Memory memory(engine);
  Moments moments = given;
  const bool is_prior = moments.second.data == nullptr;
  if (is_prior) moments = {.second = prior_moments(engine, memory, layer)};
  FeedbackOptions options{.sweeps = recipe.effort == Effort::fast ? 0 : recipe.effort == Effort::best ? 3 : 1, .damping = recipe.damping};
  if (is_prior && !options.damping) options.damping = 1.0;
  Outcome outcome = feedback(engine, layer, moments, options, levels);
  for (int i = 0; i < 8 && outcome.iterations > 0 && !within_budget(recipe, outcome); ++i) {
    options.damping = 3.0 * outcome.damping;
    outcome = feedback(engine, layer, moments, options, levels);
  }
  return outcome;
}

std::optional<double> ratio(double now, double before) {
  if (!(before > 0)) return std::nullopt;
  return now / before;
}

/// Why the outcome is not taken; empty where it is.
std::string objection(const LearnRecipe& recipe, const Outcome& outcome) {
  if (outcome.iterations == 0) return outcome.stop_reason;
  if (!std::isfinite(outcome.squared_error) || !std::isfinite(outcome.loss) || !std::isfinite(outcome.output_error)) {
    return "its result is not finite";
  }
  const bool by_output = recipe.method == LearnMethod::feedback;
  const double now = by_output ? outcome.output_error : outcome.loss;
  const double before = by_output ? outcome.nearest_output_error : outcome.nearest_loss;
  if (!(now < before))
    return by_output                               ? "its output error would not be smaller"
           : recipe.method == LearnMethod::project ? "no codes within the budget of the squared error make its loss smaller"
                                                   : "its loss would not be smaller";
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
  const Outcome outcome = recipe.method == LearnMethod::feedback ? solve_with_feedback(engine, recipe, layer, moments, levels)
                          : recipe.method == LearnMethod::optimizer
                              ? solve_with_optimizer(engine, recipe, weight.format(), layer, scales, check, levels)
                              : solve_in_basis(engine, recipe, layer, levels);
  report.rank = outcome.rank;
  report.captured_energy = outcome.captured_energy;
  report.basis_residual = outcome.basis_residual;
  report.damping = outcome.damping;
  report.iterations = outcome.iterations;
  report.stop_reason = outcome.stop_reason;
  report.kept_nearest_because = objection(recipe, outcome);
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
  const auto factor = static_cast<float>(normaliser);
  const auto added = static_cast<float>(damping.value_or(damping_for(columns, moments.count)));
  Memory memory(engine);
  std::vector<std::uint32_t> identity(columns);
  std::iota(identity.begin(), identity.end(), 0U);
  const std::uint32_t* order = memory.array_of(identity.data(), columns);
  const Matrix second = memory.matrix(columns, columns);
  const Matrix cross = memory.matrix(columns, columns);
  engine.gather_moments(moments.second, order, factor, added, second);
  engine.gather_moments(moments.cross, order, factor, added, cross);
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
