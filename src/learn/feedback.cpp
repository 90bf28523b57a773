#include "learn/feedback.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

namespace halftone::learn {
namespace {

/// Columns that are chosen before their errors are passed on to the others.
constexpr std::uint64_t kPanel = kPanelColumns;

/// tr(E S Eᵀ), where `seen` is tr(E (S + λ) Eᵀ) and `added` λ ‖E‖²; nothing where it is negative by more than the products'
/// rounding: then S is not what moments are.
std::optional<double> undamped(double seen, double added) {
  constexpr double rounding = 1e-3;
  if (seen - added < -rounding * added) return std::nullopt;
  return std::max(seen - added, 0.0);
}

/// The columns by descending second moment, equal ones as they come.
std::vector<std::uint32_t> order_of(const std::vector<float>& diagonal) {
  std::vector<std::uint32_t> order(diagonal.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return diagonal[a] > diagonal[b]; });
  return order;
}

std::vector<float> diagonal_of(Engine& engine, const Matrix& square) {
  std::vector<float> diagonal(square.rows);
  engine.diagonal(square, diagonal.data());
  return diagonal;
}

/// A layer whose columns are in another order, while its levels are chosen.
class Ordered {
 public:
  Ordered(Engine& engine, const Layer& layer, std::vector<std::uint32_t> order)
      : engine_(engine),
        memory_(engine),
        order_(std::move(order)),
        on_device_(memory_.array_of(order_.data(), order_.size())),
        weight_(memory_.matrix(layer.rows(), layer.columns())),
        errors_(memory_.matrix(layer.rows(), layer.columns())),
        scratch_(memory_.matrix(layer.rows(), layer.columns())),
        levels_(memory_.array<std::uint8_t>(layer.elements())),
        grid_(layer.grid) {
    engine.gather_columns(layer.weight, on_device_, weight_);
    engine.gather_columns(layer.errors, on_device_, errors_);
    std::vector<std::uint32_t> groups(order_.size());
    engine.download(grid_.group_of, groups.data(), groups.size() * sizeof(std::uint32_t));
    std::vector<std::uint32_t> ordered(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) ordered[i] = groups[order_[i]];
    grid_.group_of = memory_.array_of(ordered.data(), ordered.size());
  }

  /// Takes `normaliser` times `second`, in order; false where no factor was found.
  [[nodiscard]] bool prepare(const Matrix& second, double normaliser, double damping) {
    const std::uint64_t n = order_.size();
    const auto factor = static_cast<float>(normaliser);
    std::vector<std::uint32_t> backwards(order_.rbegin(), order_.rend());
    const std::uint32_t* reversed = memory_.array_of(backwards.data(), n);
    moments_ = memory_.matrix(n, n);
    factors_ = memory_.matrix(n, n);
    engine_.gather_moments(second, on_device_, factor, static_cast<float>(damping), moments_);
    engine_.gather_moments(second, reversed, factor, static_cast<float>(damping), factors_);
    if (!engine_.cholesky(factors_)) return false;
    const Matrix upper = memory_.matrix(n, n);
    engine_.unit_upper(factors_, upper);
    factors_ = upper;
    return true;
  }

  /// tr(E H Eᵀ), damped.
  [[nodiscard]] double output_error() {
    engine_.multiply({.a = errors_, .b = moments_, .c = scratch_});
    return engine_.inner(scratch_, errors_);
  }
  [[nodiscard]] double squared_error() { return engine_.squared_norm(errors_); }

  void feed_back() {
    engine_.copy(weight_.data, scratch_.data, weight_.rows * weight_.columns * sizeof(float));
    for_each_panel([&](std::uint64_t first, std::uint64_t width) {
      engine_.feed_back(panel(first, width, scratch_, factors_));
      const std::uint64_t next = first + width;
      const std::uint64_t rest = order_.size() - next;
      if (rest == 0) return;
      engine_.multiply({.a = errors_.columns_at(first, width),
                        .b = factors_.rows_at(first, width).columns_at(next, rest),
                        .alpha = -1.0F,
                        .beta = 1.0F,
                        .c = scratch_.columns_at(next, rest)});
    });
  }

  void sweep() {
    for_each_panel([&](std::uint64_t first, std::uint64_t width) {
      engine_.multiply({.a = errors_, .b = moments_.columns_at(first, width), .c = scratch_.columns_at(first, width)});
      engine_.sweep(panel(first, width, scratch_, moments_));
    });
  }

  /// The levels in the order of the layer.
  void write_levels(std::uint8_t* out) const { engine_.scatter_levels(levels_, weight_.rows, weight_.columns, on_device_, out); }

 private:
  template <class Function>
  void for_each_panel(const Function& function) {
    for (std::uint64_t first = 0; first < order_.size(); first += kPanel) function(first, std::min(kPanel, order_.size() - first));
  }

  [[nodiscard]] Panel panel(std::uint64_t first, std::uint64_t width, const Matrix& target, const Matrix& couplings) const {
    Grid grid = grid_;
    grid.group_of += first;
    return {weight_.columns_at(first, width),
            target.columns_at(first, width),
            errors_.columns_at(first, width),
            levels_ + first,
            grid,
            couplings.rows_at(first, width).columns_at(first, width)};
  }

  Engine& engine_;
  Memory memory_;
  std::vector<std::uint32_t> order_;
  const std::uint32_t* on_device_;
  Matrix weight_;
  Matrix errors_;
  Matrix scratch_;
  std::uint8_t* levels_;
  Grid grid_;
  Matrix moments_;
  Matrix factors_;
};

}  // namespace

Outcome feedback(Engine& engine, const Layer& layer, const Moments& moments, const FeedbackOptions& options, std::uint8_t* levels) {
  Outcome outcome;
  outcome.damping = options.damping.value_or(damping_for(layer.columns(), moments.count));
  outcome.nearest_squared_error = engine.squared_norm(layer.errors);
  const double normaliser = normaliser_of(engine, moments.second);
  if (normaliser == 0) {
    outcome.stop_reason = "its inputs are all zero";
    return outcome;
  }
  const auto refused = [&] {
    outcome.iterations = 0;
    outcome.stop_reason = "its second moments are not positive definite";
    return outcome;
  };
  if (!is_semidefinite(engine, moments.second, normaliser, outcome.damping)) return refused();
  Ordered ordered(engine, layer, order_of(diagonal_of(engine, moments.second)));
  if (!ordered.prepare(moments.second, normaliser, outcome.damping)) return refused();
  const auto nearest_undamped = undamped(ordered.output_error(), outcome.damping * outcome.nearest_squared_error);
  if (!nearest_undamped) return refused();
  ordered.feed_back();
  for (int i = 0; i < options.sweeps; ++i) ordered.sweep();
  outcome.iterations = 1 + options.sweeps;
  outcome.squared_error = ordered.squared_error();
  const auto found_undamped = undamped(ordered.output_error(), outcome.damping * outcome.squared_error);
  if (!found_undamped) return refused();
  outcome.nearest_output_error = *nearest_undamped;
  outcome.output_error = *found_undamped;
  ordered.write_levels(levels);
  return outcome;
}

}  // namespace halftone::learn
