#include "learn/feedback.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace halftone::learn {
namespace {

/// Columns that are chosen before their errors are passed on to the others.
constexpr std::uint64_t kPanel = 128;

/// The columns by descending second moment, equal ones as they come.
std::vector<std::uint32_t> order_of(const float* second, std::uint64_t columns) {
  std::vector<std::uint32_t> order(columns);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return second[a * (columns + 1)] > second[b * (columns + 1)]; });
  return order;
}

double trace(const float* second, std::uint64_t columns) {
  double sum = 0;
  for (std::uint64_t i = 0; i < columns; ++i) sum += static_cast<double>(second[i * (columns + 1)]);
  return sum;
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
        grid_(layer.grid()) {
    engine.gather_columns(layer.weight(), on_device_, weight_);
    engine.gather_columns(layer.errors(), on_device_, errors_);
    std::vector<std::uint32_t> groups(order_.size());
    engine.download(grid_.group_of, groups.data(), groups.size() * sizeof(std::uint32_t));
    std::vector<std::uint32_t> ordered(groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) ordered[i] = groups[order_[i]];
    grid_.group_of = memory_.array_of(ordered.data(), ordered.size());
  }

  /// Reads `second`, normalised to a mean diagonal of 1; false where no factor was found.
  [[nodiscard]] bool prepare(const float* second, double damping) {
    const std::uint64_t n = order_.size();
    const auto factor = static_cast<float>(static_cast<double>(n) / trace(second, n));
    const Matrix raw = memory_.matrix_of(second, n, n);
    std::vector<std::uint32_t> backwards(order_.rbegin(), order_.rend());
    const std::uint32_t* reversed = memory_.array_of(backwards.data(), n);
    moments_ = memory_.matrix(n, n);
    factors_ = memory_.matrix(n, n);
    engine_.gather_moments(raw, on_device_, factor, static_cast<float>(damping), moments_);
    engine_.gather_moments(raw, reversed, factor, static_cast<float>(damping), factors_);
    if (!engine_.cholesky(factors_)) return false;
    engine_.unit_upper(factors_, raw);
    factors_ = raw;
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
  void read_levels(std::uint8_t* host) const {
    const std::uint64_t columns = order_.size();
    std::vector<std::uint8_t> ordered(weight_.rows * columns);
    engine_.download(levels_, ordered.data(), ordered.size());
    for (std::uint64_t row = 0; row < weight_.rows; ++row) {
      for (std::uint64_t i = 0; i < columns; ++i) host[row * columns + order_[i]] = ordered[row * columns + i];
    }
  }

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

double damping_for(std::uint64_t columns, std::optional<std::uint64_t> count) {
  if (!count) return 0.1;
  return std::clamp(1.2 * static_cast<double>(columns) / static_cast<double>(std::max<std::uint64_t>(*count, 1)), 0.03, 1.0);
}

Outcome feedback(Engine& engine, const Layer& layer, const Moments& moments, const FeedbackOptions& options, std::uint8_t* host_levels) {
  Outcome outcome;
  outcome.damping = options.damping.value_or(damping_for(layer.columns(), moments.count));
  outcome.nearest_squared_error = engine.squared_norm(layer.errors());
  if (!(trace(moments.second, layer.columns()) > 0)) {
    outcome.stop_reason = "its inputs are all zero";
    return outcome;
  }
  Ordered ordered(engine, layer, order_of(moments.second, layer.columns()));
  if (!ordered.prepare(moments.second, outcome.damping)) {
    outcome.stop_reason = "its second moments are not positive definite";
    return outcome;
  }
  const auto undamped = [&](double squared_error) { return ordered.output_error() - outcome.damping * squared_error; };
  outcome.nearest_output_error = undamped(outcome.nearest_squared_error);
  ordered.feed_back();
  for (int i = 0; i < options.sweeps; ++i) ordered.sweep();
  outcome.iterations = 1 + options.sweeps;
  outcome.squared_error = ordered.squared_error();
  outcome.output_error = undamped(outcome.squared_error);
  ordered.read_levels(host_levels);
  return outcome;
}

}  // namespace halftone::learn
