#include "learn/solve.hpp"

#include <cmath>

#include "learn/method.hpp"

namespace halftone::learn {
namespace {

std::optional<double> ratio(double now, double before) {
  if (!(before > 0)) return std::nullopt;
  return now / before;
}

/// Why the outcome is not taken; empty where it is.
std::string objection(const Method& method, const LearnRecipe& recipe, const Outcome& outcome) {
  if (outcome.iterations == 0) return outcome.stop_reason;
  if (!std::isfinite(outcome.squared_error) || !std::isfinite(outcome.loss) || !std::isfinite(outcome.output_error)) {
    return "its result is not finite";
  }
  if (!(outcome.*method.measure < outcome.*method.measure_of_nearest)) return method.no_gain;
  if (!within_budget(recipe, outcome)) return "its squared error would exceed the budget";
  return {};
}

}  // namespace

LearnedLayer solve(Engine& engine, const LearnRecipe& recipe, QuantizedWeight& weight, const Moments& moments,
                   const std::function<void()>& check) {
  LearnedLayer report{.method = recipe.method};
  const Method& method = method_of(recipe.method);
  if (method.solve == nullptr) return report;
  const Layer& layer = weight.layer();
  report.elements = layer.elements();
  Memory memory(engine);
  auto* levels = memory.array<std::uint8_t>(layer.elements());
  std::optional<StoredScales> scales;
  if (moves_scales(recipe)) scales = weight.stored_scales();
  const Outcome outcome = method.solve({engine, recipe, weight.format(), layer, moments, scales, check}, levels);
  report.rank = outcome.rank;
  report.wanted_rank = outcome.wanted_rank;
  report.captured_energy = outcome.captured_energy;
  report.basis_residual = outcome.basis_residual;
  report.damping = outcome.damping;
  report.iterations = outcome.iterations;
  report.stop_reason = outcome.stop_reason;
  report.kept_nearest_because = objection(method, recipe, outcome);
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

}  // namespace halftone::learn
