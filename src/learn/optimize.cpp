#include "learn/optimize.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "learn/memory.hpp"
#include "learn/moving_scales.hpp"

namespace halftone::learn {
namespace {

/// Iterations between two looks at the state, which on a device wait for it.  A loop that has stopped stands still.
constexpr std::uint32_t kIterationsPerLook = 8;

class Loop {
 public:
  Loop(Engine& engine, const Layer& layer, const Basis* basis, const OptimizeOptions& options)
      : engine_(engine),
        memory_(engine),
        layer_(layer),
        basis_(basis),
        options_(options),
        errors_(memory_.matrix(layer.rows(), layer.columns())) {
    if (basis != nullptr) {
      narrow_ = memory_.matrix(layer.rows(), basis->left.columns);
      inside_ = memory_.matrix(basis->left.columns, basis->left.columns);
    }
    run_.optimizer = options.settings.optimizer;
    run_.variant = options.settings.variant;
    run_.schedule = schedule_for(options.settings.schedule, layer.rows(), layer.columns());
    run_.rule = options.rule;
    run_.weight = layer.weight;
    run_.levels = layer.levels;
    run_.grid = layer.grid;
    run_.errors = errors_;
    run_.first_errors = layer.errors.data;
    run_.is_observed = options.scales != nullptr;
    for (float*& offsets : run_.offsets) offsets = zeros(layer.elements());
    if (options.settings.variant.schedule_free) run_.average = zeros(layer.elements());
    const std::uint64_t scratch = scratch_elements(layer.rows(), layer.columns());
    run_.scratch = memory_.array<double>(scratch);
    engine.clear(run_.scratch, scratch * sizeof(double));
    const LoopState first = first_state(run_.schedule);
    run_.state = memory_.array_of(&first, 1);
    auto* scalars = memory_.array<std::byte>(kScalarBytes);
    engine.clear(scalars, kScalarBytes);
    run_.scalars = scalars;
    add_moments();
    engine.copy(layer.errors.data, errors_.data, layer.elements() * sizeof(float));
    if (options.scales != nullptr) {
      const double most_error = (1.0 + options.scale_budget) * engine.squared_norm(layer.errors);
      const MovingScales::Measure measure{errors_, [this] { return slope(); }, most_error};
      scales_.emplace(engine, layer, options.settings, measure, *options.scales, run_);
    }
    if (basis != nullptr && !options.full_precision) own_ = engine.optimizer_loop(run_, *basis);
    if (!own_ || scales_) run_.gradient = basis == nullptr ? errors_ : memory_.matrix(layer.rows(), layer.columns());
  }

  LoopState optimize() {
    for (;;) {
      if (own_) {
        own_->iterate(kIterationsPerLook);
      } else {
        for (std::uint32_t i = 0; i < kIterationsPerLook; ++i) iterate();
      }
      engine_.download(run_.state, &state_, sizeof state_);
      if (scales_ && scales_->look(state_) && own_) own_->set_errors(errors_);
      if (state_.stop != StopReason::none) return state_;
      if (options_.check) options_.check();
    }
  }

  /// After optimize().
  void round_best(std::uint8_t* levels) {
    const float* best = run_.average != nullptr ? run_.average : run_.offsets[state_.best_slot];
    if (scales_) return scales_->finish(best, levels);
    engine_.errors_at(layer_.errors, best, layer_.grid, errors_);
    engine_.round(layer_.weight, errors_, layer_.weight, layer_.grid, levels, errors_);
  }

  [[nodiscard]] double loss() { return std::sqrt(engine_.squared_norm(measured())); }
  [[nodiscard]] double squared_error() { return engine_.squared_norm(errors_); }

 private:
  [[nodiscard]] float* zeros(std::uint64_t n) {
    auto* data = memory_.array<float>(n);
    engine_.clear(data, n * sizeof(float));
    return data;
  }

  void add_moments() {
    const std::uint64_t rows = layer_.rows();
    const std::uint64_t columns = layer_.columns();
    for (int i = 0; i < matrices_of_moments(run_.optimizer, rows, columns); ++i) run_.moments[i] = zeros(layer_.elements());
    if (with_optimizer(run_.optimizer, [&]<class O>(O) { return O::is_factored(rows, columns); })) {
      run_.row_moments = zeros(rows);
      run_.column_moments = zeros(columns);
    }
    if (const std::uint64_t sampled = sampled_elements(run_.optimizer, layer_.elements()); sampled > 0) {
      run_.decayed_sums = zeros(sampled);
      run_.sampled = zeros(sampled);
    }
  }

  void iterate() {
    engine_.advance(run_, measured());
    if (basis_ != nullptr) expand();
    engine_.optimizer_step(run_);
  }

  [[nodiscard]] Slope slope() {
    const double loss = this->loss();
    if (basis_ != nullptr) expand();
    return {loss, run_.gradient};
  }

  /// The matrix whose norm is the loss of the errors as they are.
  [[nodiscard]] Matrix measured() {
    if (basis_ == nullptr) return errors_;
    const bool full = options_.full_precision;
    engine_.multiply({.a = errors_, .b = basis_->right, .c = narrow_, .full_precision = full});
    engine_.multiply({.a = basis_->left, .transpose_a = true, .b = narrow_, .c = inside_, .full_precision = full});
    return inside_;
  }

  /// gradient = U Uᵀ E V Vᵀ.
  void expand() {
    const bool full = options_.full_precision;
    engine_.multiply({.a = basis_->left, .b = inside_, .c = narrow_, .full_precision = full});
    engine_.multiply({.a = narrow_, .b = basis_->right, .transpose_b = true, .c = run_.gradient, .full_precision = full});
  }

  Engine& engine_;
  Memory memory_;
  const Layer& layer_;
  const Basis* basis_;
  const OptimizeOptions& options_;
  Matrix errors_;
  Matrix narrow_;
  Matrix inside_;  ///< Uᵀ E V
  OptimizerRun run_;
  LoopState state_;
  std::optional<MovingScales> scales_;
  std::unique_ptr<OptimizerLoop> own_;  ///< null: the engine has none for this run
};

}  // namespace

OptimizeOptions conventions(OptimizeOptions options, const FormatDescriptor& format, float largest_scale) {
  const Storage& storage = format.storage();
  const bool grouped_integers = format.facts().code_dtype == Dtype::I8 && storage.grid != ScaleGrid::tensor;
  const bool original = options.settings.optimizer == Optimizer::original;
  ScheduleOptions& schedule = options.settings.schedule;
  if (storage.two_level) {
    constexpr float largest_e2m1 = 6.0F;
    options.rule = {Preconditioner::none, 1.0F, largest_e2m1};
    schedule.stop.zero_disables = true;
  } else if (grouped_integers) {
    options.rule = {Preconditioner::constant, 1.0F / largest_scale, 0.0F};
  } else {
    options.rule = {};
  }
  schedule.stop.judges_best = !original;
  // December 2025's schedule has its own rule for when failures are forgotten.
  if (schedule.schedule != LearningSchedule::adaptive && (original || storage.two_level)) schedule.resets = true;
  const std::uint32_t warm_up = with_optimizer(options.settings.optimizer, []<class O>(O) { return O::kWarmUp; });
  if (warm_up > 0 && storage.grid != ScaleGrid::run) schedule.warm_up = warm_up;
  if (grouped_integers && !original) schedule.shape_influence = 0;
  return options;
}

float largest_scale(Engine& engine, const Layer& layer) {
  std::vector<float> scales(layer.rows() * layer.grid.groups);
  engine.download(layer.grid.scales, scales.data(), scales.size() * sizeof(float));
  return *std::max_element(scales.begin(), scales.end());
}

OptimizeResult optimize(Engine& engine, const Layer& layer, const Basis* basis, const OptimizeOptions& options, std::uint8_t* levels) {
  Loop loop(engine, layer, basis, options);
  // By the same products as the loss in the end: the loop's own may differ in what it loses.
  const double nearest_loss = loop.loss();
  OptimizeResult result{{}, loop.optimize()};
  Outcome& outcome = result.outcome;
  if (basis != nullptr) {
    outcome.rank = basis->rank;
    outcome.wanted_rank = basis->wanted_rank;
    outcome.captured_energy = basis->captured_energy;
    outcome.basis_residual = basis->residual;
  }
  outcome.nearest_loss = nearest_loss;
  outcome.nearest_squared_error = engine.squared_norm(layer.errors);
  outcome.iterations = static_cast<int>(result.state.iterations);
  outcome.stop_reason = description(result.state.stop);
  loop.round_best(levels);
  outcome.loss = loop.loss();
  outcome.squared_error = loop.squared_error();
  return result;
}

std::string_view description(StopReason reason) noexcept {
  switch (reason) {
    case StopReason::none: return "not stopped";
    case StopReason::loss: return "the loss is small enough";
    case StopReason::rate: return "the learning rate is too small";
    case StopReason::stall: return "no improvement for too long";
    case StopReason::iterations: return "all iterations are done";
    case StopReason::diverged: return "the loss is no finite number";
  }
  return {};
}

}  // namespace halftone::learn
