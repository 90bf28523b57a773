#include "learn/project.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace halftone::learn {
namespace {

/// The levels of a layer on their way.
class Projection {
 public:
  /// `most_error`: what the squared error may grow to.
  Projection(Engine& engine, const Layer& layer, const Basis& basis, double most_error)
      : engine_(engine),
        memory_(engine),
        layer_(layer),
        basis_(basis),
        most_error_(most_error),
        errors_(memory_.matrix(layer.rows(), layer.columns())),
        target_(memory_.matrix(layer.rows(), layer.columns())),
        shift_(memory_.matrix(layer.rows(), layer.columns())),
        narrow_(memory_.matrix(layer.rows(), basis.left.columns)),
        inside_(memory_.matrix(basis.left.columns, basis.left.columns)),
        gathered_(memory_.matrix(basis.left.columns, basis.left.columns)),
        levels_(memory_.array<std::uint8_t>(layer.elements())),
        best_levels_(memory_.array<std::uint8_t>(layer.elements())),
        row_norms_(memory_.array<float>(layer.rows())),
        column_norms_(memory_.array<float>(layer.columns())) {
    engine.copy(layer.levels, levels_, layer.elements());
    engine.copy(layer.levels, best_levels_, layer.elements());
    copy_matrix(layer.errors, errors_);
    copy_matrix(layer.weight, target_);
    engine.row_norms(basis.left, row_norms_);
    engine.row_norms(basis.right, column_norms_);
  }

  /// Computes Uᵀ E V and returns its norm.
  double measure() {
    engine_.multiply({.a = errors_, .b = basis_.right, .c = narrow_});
    engine_.multiply({.a = basis_.left, .transpose_a = true, .b = narrow_, .c = inside_});
    return std::sqrt(engine_.squared_norm(inside_));
  }

  /// `steps` roundings of W + U C Vᵀ with C reduced by Uᵀ E V of the one before; keeps the best that is within the
  /// budget.  Where the budget was left, rounds with a part of the last C that is within it.  Returns the loss.
  double descend(int steps, double loss) {
    double best = loss;
    engine_.clear(gathered_.data, bytes(gathered_));
    for (int i = 0; i < steps; ++i) {
      const auto rate = static_cast<float>(std::pow(0.1, static_cast<double>(i) / std::max(steps - 1, 1)));
      engine_.add_scaled(inside_, -rate, gathered_);
      expand(gathered_, shift_);
      engine_.round(layer_.weight, shift_, layer_.weight, layer_.grid, levels_, errors_);
      const double now = measure();
      if (now < best && squared_error() <= most_error_) best = keep_as_best(now);
    }
    if (squared_error() > most_error_) best = descend_in_part(best);
    restore_best();
    return best;
  }

  /// Flips elements for the loss and a pull to the target; returns the passes made and sets the loss.
  int flip(int passes, double& loss) {
    constexpr double part = 0.3;
    double share = part;
    const double k = static_cast<double>(basis_.left.columns);
    const double pull = 10.0 * k * k / static_cast<double>(layer_.elements());
    loss = measure();
    double objective = loss * loss + pull * distance();
    int pass = 0;
    while (pass < passes && share >= 0.02 && loss > 0) {
      ++pass;
      expand(inside_, shift_);
      const Flips flips{target_, shift_, errors_, layer_.weight, levels_, layer_.grid, row_norms_, column_norms_, static_cast<float>(pull)};
      const double squared = engine_.flip(flips, first_bin(flips, share, loss * loss));
      const double now = measure();
      const double next = now * now + pull * squared;
      if (!(next < objective) || squared_error() > most_error_) {
        restore_best();
        loss = measure();
        share *= 0.6;
        continue;
      }
      engine_.copy(levels_, best_levels_, layer_.elements());
      loss = now;
      const bool settled = next > 0.99 * objective;
      objective = next;
      if (settled) break;
    }
    return pass;
  }

  /// Rounds the values of rounding to nearest less the part of their error that the basis holds.
  double project_once() {
    expand(inside_, shift_, -1.0F);
    engine_.add_scaled(errors_, 1.0F, target_);
    engine_.round(target_, shift_, layer_.weight, layer_.grid, levels_, errors_);
    return measure();
  }

  [[nodiscard]] double squared_error() { return engine_.squared_norm(errors_); }
  void write_levels(std::uint8_t* out) { engine_.copy(levels_, out, layer_.elements()); }

 private:
  [[nodiscard]] static std::uint64_t bytes(const Matrix& a) { return a.rows * a.columns * sizeof(float); }
  void copy_matrix(const Matrix& from, const Matrix& to) { engine_.copy(from.data, to.data, bytes(from)); }

  /// out = factor · U inside Vᵀ.
  void expand(const Matrix& inside, const Matrix& out, float factor = 1.0F) {
    engine_.multiply({.a = basis_.left, .b = inside, .alpha = factor, .c = narrow_});
    engine_.multiply({.a = narrow_, .b = basis_.right, .transpose_b = true, .c = out});
  }

  double keep_as_best(double loss) {
    engine_.copy(levels_, best_levels_, layer_.elements());
    copy_matrix(layer_.weight, target_);
    engine_.add_scaled(shift_, 1.0F, target_);
    return loss;
  }

  /// Rounds with the largest part of the gathered shift, in 32nds, that leaves the squared error within the budget.
  double descend_in_part(double best) {
    double part = 0;
    for (double step = 0.5; step > 1.0 / 64; step /= 2) {
      const double tried = part + step;
      expand(gathered_, shift_, static_cast<float>(tried));
      engine_.round(layer_.weight, shift_, layer_.weight, layer_.grid, levels_, errors_);
      if (squared_error() > most_error_) continue;
      part = tried;
      const double now = measure();
      if (now < best) best = keep_as_best(now);
    }
    return best;
  }

  void restore_best() {
    engine_.copy(best_levels_, levels_, layer_.elements());
    engine_.errors_of(levels_, layer_.weight, layer_.grid, errors_);
  }

  /// ‖Ŵ - target‖².
  [[nodiscard]] double distance() {
    copy_matrix(layer_.weight, shift_);
    engine_.add_scaled(errors_, 1.0F, shift_);
    engine_.add_scaled(target_, -1.0F, shift_);
    return engine_.squared_norm(shift_);
  }

  /// The highest bin such that the flips from it on take `share` off `squared_loss`, to first order.
  [[nodiscard]] std::uint32_t first_bin(const Flips& flips, double share, double squared_loss) {
    std::array<std::int64_t, kGainBins> bins{};
    engine_.count_flips(flips, squared_loss, bins.data());
    const auto wanted = static_cast<std::int64_t>(std::ldexp(share, 40));
    std::int64_t sum = 0;
    std::uint32_t bin = kGainBins;
    while (bin > 0 && sum < wanted) sum += bins[--bin];
    return bin;
  }

  Engine& engine_;
  Memory memory_;
  const Layer& layer_;
  const Basis& basis_;
  double most_error_;
  Matrix errors_;
  Matrix target_;
  Matrix shift_;
  Matrix narrow_;
  Matrix inside_;    ///< Uᵀ E V
  Matrix gathered_;  ///< C
  std::uint8_t* levels_;
  std::uint8_t* best_levels_;
  float* row_norms_;
  float* column_norms_;
};

Outcome begin(Engine& engine, const Layer& layer, const Basis& basis) {
  Outcome outcome;
  outcome.rank = basis.left.columns;
  outcome.captured_energy = basis.captured_energy;
  outcome.basis_residual = basis.residual;
  outcome.nearest_squared_error = engine.squared_norm(layer.errors);
  return outcome;
}

}  // namespace

Outcome project(Engine& engine, const Layer& layer, const Basis& basis, const ProjectOptions& options, std::uint8_t* levels) {
  Outcome outcome = begin(engine, layer, basis);
  Projection projection(engine, layer, basis, (1.0 + options.budget) * outcome.nearest_squared_error);
  outcome.nearest_loss = projection.measure();
  outcome.loss = projection.descend(options.descents, outcome.nearest_loss);
  outcome.iterations = options.descents + projection.flip(options.flip_passes, outcome.loss);
  outcome.squared_error = projection.squared_error();
  projection.write_levels(levels);
  return outcome;
}

Outcome closed_form(Engine& engine, const Layer& layer, const Basis& basis, std::uint8_t* levels) {
  Outcome outcome = begin(engine, layer, basis);
  Projection projection(engine, layer, basis, std::numeric_limits<double>::infinity());
  outcome.nearest_loss = projection.measure();
  outcome.loss = projection.project_once();
  outcome.iterations = 1;
  outcome.squared_error = projection.squared_error();
  projection.write_levels(levels);
  return outcome;
}

}  // namespace halftone::learn
