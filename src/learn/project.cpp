#include "learn/project.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <halftone/codec/hd.hpp>

#include "learn/half_unit.hpp"

namespace halftone::learn {
namespace {

/// Projected errors, the sums of many, have a unit of binary16 that is so many times that of errors.
constexpr float kInsideUnit = 0x1p-6F;

/// What each pass of flips is to take off half the squared loss, to first order: more would overshoot.
constexpr double kFirstShare = 0.3;
/// After a pass that was not worth it, passes take off less, down to an amount that is not worth a pass.
constexpr double kSmallerShare = 0.8;
constexpr double kLeastShare = 0.02;
/// After a pass that made matters worse, half as many elements may flip: where one bin of gains is more than the share, a
/// smaller share would choose the same flips again.  A 64th of the elements is fine enough for the smallest layers.
constexpr unsigned kMostHalvings = 6;
/// How hard the weight pulls after the first pass that exceeds the budget, in (rank of the basis)² per element as the pull of
/// the target; then how many times as hard after another, and after a pass that made matters worse.
constexpr double kFirstRestraint = 2.5;
constexpr double kMoreRestraint = 2;
constexpr double kLessRestraint = 0.6;

/// What errors are multiplied as.
Element element_for(const MatrixEngine& engine, const Layer& layer) {
  const bool is_aligned = layer.rows() % kHalfMultiple == 0 && layer.columns() % kHalfMultiple == 0;
  return is_aligned ? engine.factor_element() : Element::single;
}

float unit_for(MatrixEngine& engine, const Layer& layer, Element element) {
  return element == Element::single ? 1.0F : half_unit_for(codec::from_bits(engine.largest(layer.errors.data, layer.elements())));
}

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
        element_(element_for(engine, layer)),
        unit_(unit_for(engine, layer, element_)),
        left_(factor_for(basis.left)),
        right_(factor_for(basis.right)),
        errors_(memory_.matrix(layer.rows(), layer.columns(), element_, unit_)),
        target_(memory_.matrix(layer.rows(), layer.columns())),
        shift_(memory_.matrix(layer.rows(), layer.columns(), element_, unit_)),
        narrow_(memory_.matrix(layer.rows(), basis.left.columns, element_, unit_)),
        inside_(square()),
        gathered_(square()),
        best_gathered_(square()),
        inside_factor_(element_ == Element::single ? inside_
                                                   : memory_.matrix(inside_.rows, inside_.columns, element_, unit_ * kInsideUnit)),
        levels_(memory_.array<std::uint8_t>(layer.elements())),
        best_levels_(memory_.array<std::uint8_t>(layer.elements())),
        row_norms_(memory_.array<float>(layer.rows())),
        column_norms_(memory_.array<float>(layer.columns())) {
    engine.copy(layer.levels, levels_, layer.elements());
    engine.copy(layer.levels, best_levels_, layer.elements());
    engine.convert(layer.errors, 1.0F, errors_);
    engine.row_norms(basis.left, row_norms_);
    engine.row_norms(basis.right, column_norms_);
    measure();
  }

  /// ‖Uᵀ E V‖ and ‖E‖² of the present levels.
  [[nodiscard]] double loss() const { return loss_; }
  [[nodiscard]] double squared_error() const { return squared_error_; }

  /// `steps` roundings of W + U C Vᵀ with C reduced by Uᵀ E V of the one before; keeps the best that is within the
  /// budget.  Where the budget was left, rounds with a part of the last C that is within it.
  void descend(int steps) {
    best_loss_ = loss_;
    engine_.clear(gathered_.data, gathered_.bytes());
    for (int i = 0; i < steps; ++i) {
      const auto rate = static_cast<float>(std::pow(0.1, static_cast<double>(i) / std::max(steps - 1, 1)));
      engine_.add_scaled(inside_, -rate, gathered_);
      round_shifted(1.0F);
      keep_if_best(1.0F);
    }
    if (squared_error_ > most_error_) descend_in_part();
    copy_matrix(layer_.weight, target_);
    if (best_part_ > 0) {
      expand(best_gathered_, shift_, best_part_);
      engine_.add_scaled(shift_, 1.0F, target_);
    }
    restore_best();
  }

  /// Flips elements for the loss and a pull to the target; returns the passes made.  After a pass that exceeds the budget,
  /// the weight pulls too, to the end, and passes stay where they take something off the loss alone.
  int flip(const FlipEffort& effort, std::uint64_t seed) {
    const auto k = static_cast<double>(basis_.rank);
    const double unit = k * k / static_cast<double>(layer_.elements());
    const double pull = effort.pull * unit;
    double restraint = 0;
    Flips flips{target_, shift_, errors_, layer_.weight, levels_, layer_.grid, row_norms_, column_norms_, static_cast<float>(pull)};
    FlipLimit limit{.share = kFirstShare, .row_step = row_step()};
    double objective = loss_ * loss_ + pull * distance();
    const auto restrain = [&](double next) {
      pull_to_weight((next - restraint) / (pull + next));
      restraint = next;
      flips.pull = static_cast<float>(pull + next);
      objective = loss_ * loss_;
    };
    int pass = 0;
    while (pass < effort.passes && limit.share >= kLeastShare && loss_ > 0) {
      const double before = loss_;
      limit.seed = seed + static_cast<std::uint64_t>(++pass);
      limit.squared_loss = loss_ * loss_;
      expand(inside_, shift_);
      engine_.flip(flips, limit, kDistance);
      measure();
      if (squared_error_ > most_error_) {
        restore_best();
        restrain(std::max(kMoreRestraint * restraint, kFirstRestraint * unit));
        continue;
      }
      const double next = loss_ * loss_ + (restraint > 0 ? 0.0 : pull * distance_);
      if (!(next < objective)) {
        restore_best();
        if (restraint > 0) restrain(kLessRestraint * restraint);
        limit.share *= kSmallerShare;
        limit.halvings = std::min(limit.halvings + 1, kMostHalvings);
        continue;
      }
      engine_.copy(levels_, best_levels_, layer_.elements());
      objective = next;
      if (loss_ <= (1.0 - effort.least_gain) * before) continue;
      if (!effort.goes_on) break;
      limit.share *= kSmallerShare;
    }
    return pass;
  }

  /// Rounds the values of rounding to nearest less the part of their error that the basis holds.
  void project_once() {
    expand(inside_, shift_, -1.0F);
    copy_matrix(layer_.weight, target_);
    engine_.add_scaled(layer_.errors, 1.0F, target_);
    engine_.round(target_, shift_, layer_.weight, layer_.grid, levels_, errors_);
    measure();
  }

  void write_levels(std::uint8_t* out) { engine_.copy(levels_, out, layer_.elements()); }

 private:
  /// Places of the sums that are read together.
  enum Sum : unsigned { kLoss, kError, kDistance, kRead };
  enum DistanceSum : unsigned { kBetween, kShift };

  void copy_matrix(const Matrix& from, const Matrix& to) { engine_.copy(from.data, to.data, from.bytes()); }
  [[nodiscard]] Matrix square() { return memory_.matrix(basis_.left.columns, basis_.left.columns); }
  /// A side of the basis as it is multiplied.
  [[nodiscard]] Matrix factor_for(const Matrix& side) {
    if (element_ == Element::single) return side;
    const Matrix factor = memory_.matrix(side.rows, side.columns, element_);
    engine_.convert(side, 1.0F, factor);
    return factor;
  }

  /// Computes Uᵀ E V and reads the sums.
  void measure() {
    engine_.multiply({.a = errors_, .b = right_, .c = narrow_});
    engine_.multiply({.a = left_, .transpose_a = true, .b = narrow_, .c = inside_});
    engine_.add_up(inside_, inside_, kLoss);
    engine_.add_up(errors_, errors_, kError);
    std::array<double, kRead> sums{};
    engine_.read_sums(sums);
    loss_ = std::sqrt(sums[kLoss]);
    squared_error_ = sums[kError];
    distance_ = sums[kDistance];
  }

  /// out = factor · U inside Vᵀ.
  void expand(const Matrix& inside, const Matrix& out, float factor = 1.0F) {
    Matrix middle = inside;
    if (element_ == Element::half) {
      engine_.convert(inside, 1.0F, inside_factor_);
      middle = inside_factor_;
    }
    engine_.multiply({.a = left_, .b = middle, .alpha = factor, .c = narrow_});
    engine_.multiply({.a = narrow_, .b = right_, .transpose_b = true, .c = out});
  }

  /// Moves the target by a part of its way to the weight, or away from it: what two pulls want is the mean of their targets
  /// by the pulls.
  void pull_to_weight(double part) {
    engine_.add_scaled(target_, static_cast<float>(-part), target_);
    engine_.add_scaled(layer_.weight, static_cast<float>(part), target_);
  }

  /// Rounds W + part · U C Vᵀ.
  void round_shifted(float part) {
    expand(gathered_, shift_, part);
    engine_.round(layer_.weight, shift_, layer_.weight, layer_.grid, levels_, errors_);
    measure();
  }

  /// Rounds with the largest part of the gathered shift, in 32nds, that leaves the squared error within the budget.
  void descend_in_part() {
    double part = 0;
    for (double step = 0.5; step > 1.0 / 64; step /= 2) {
      round_shifted(static_cast<float>(part + step));
      if (squared_error_ > most_error_) continue;
      part += step;
      keep_if_best(static_cast<float>(part));
    }
  }

  /// `part`: that of the gathered shift that the levels are of.
  void keep_if_best(float part) {
    if (!(loss_ < best_loss_) || squared_error_ > most_error_) return;
    std::swap(levels_, best_levels_);
    copy_matrix(gathered_, best_gathered_);
    best_loss_ = loss_;
    best_part_ = part;
  }

  void restore_best() {
    engine_.copy(best_levels_, levels_, layer_.elements());
    engine_.errors_of(levels_, layer_.weight, layer_.grid, errors_);
    measure();
  }

  /// ‖Ŵ - target‖² = ‖E - (target - W)‖², when levels have been restored.
  [[nodiscard]] double distance() {
    if (best_part_ == 0) return squared_error_;
    engine_.add_up(errors_, shift_, kBetween);
    engine_.add_up(shift_, shift_, kShift);
    std::array<double, 2> sums{};
    engine_.read_sums(sums);
    return squared_error_ - 2.0 * sums[kBetween] + sums[kShift];
  }

  /// A million elements tell well enough what flips take off.
  [[nodiscard]] std::uint64_t row_step() const { return std::clamp<std::uint64_t>(layer_.elements() >> 20, 1, 16); }

  Engine& engine_;
  Memory memory_;
  const Layer& layer_;
  const Basis& basis_;
  double most_error_;
  Element element_;
  float unit_;  ///< of errors
  Matrix left_;
  Matrix right_;
  double loss_ = 0;
  double squared_error_ = 0;
  double best_loss_ = 0;
  float best_part_ = 0;  ///< of the best shift; 0 is none
  double distance_ = 0;  ///< ‖Ŵ - target‖², after a pass of flips
  Matrix errors_;
  Matrix target_;
  Matrix shift_;
  Matrix narrow_;
  Matrix inside_;    ///< Uᵀ E V
  Matrix gathered_;  ///< C
  Matrix best_gathered_;
  Matrix inside_factor_;  ///< either of them as it is multiplied
  std::uint8_t* levels_;
  std::uint8_t* best_levels_;
  float* row_norms_;
  float* column_norms_;
};

Outcome begin(Engine& engine, const Layer& layer, const Basis& basis) {
  Outcome outcome;
  outcome.rank = basis.rank;
  outcome.wanted_rank = basis.wanted_rank;
  outcome.captured_energy = basis.captured_energy;
  outcome.basis_residual = basis.residual;
  outcome.nearest_squared_error = engine.squared_norm(layer.errors);
  return outcome;
}

}  // namespace

Outcome project(Engine& engine, const Layer& layer, const Basis& basis, const ProjectOptions& options, std::uint8_t* levels) {
  Outcome outcome = begin(engine, layer, basis);
  Projection projection(engine, layer, basis, (1.0 + options.budget) * outcome.nearest_squared_error);
  outcome.nearest_loss = projection.loss();
  projection.descend(options.descents);
  outcome.iterations = options.descents + projection.flip(options.flips, options.seed);
  outcome.loss = projection.loss();
  outcome.squared_error = projection.squared_error();
  projection.write_levels(levels);
  return outcome;
}

Outcome closed_form(Engine& engine, const Layer& layer, const Basis& basis, std::uint8_t* levels) {
  Outcome outcome = begin(engine, layer, basis);
  Projection projection(engine, layer, basis, std::numeric_limits<double>::infinity());
  outcome.nearest_loss = projection.loss();
  projection.project_once();
  outcome.loss = projection.loss();
  outcome.iterations = 1;
  outcome.squared_error = projection.squared_error();
  projection.write_levels(levels);
  return outcome;
}

}  // namespace halftone::learn
