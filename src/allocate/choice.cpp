#include "allocate/choice.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

namespace halftone::allocate {
namespace {

using Layers = std::vector<std::vector<Option>>;

/// Losses that differ by less than this part are equal: a search for the last bit would never end among equal layers.
constexpr double kEqual = 1e-13;

/// A step from one option of a layer to the next on its lower convex hull.  Steps of a layer become ever less worth it.
struct Step {
  std::size_t layer;
  std::size_t to;  ///< option
  double cost;
  double gain;   ///< of loss, positive
  double worth;  ///< gain for a unit of cost
};

double worth_of(const Option& from, const Option& to) { return (from.loss - to.loss) / (to.cost - from.cost); }

/// The options of a layer that are best for some price of cost, the cheapest first.
std::vector<std::size_t> hull_of(const std::vector<Option>& options) {
  std::vector<std::size_t> order(options.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return options[a].cost != options[b].cost ? options[a].cost < options[b].cost : options[a].loss < options[b].loss;
  });
  std::vector<std::size_t> hull;
  for (const std::size_t next : order) {
    if (!hull.empty() && options[next].loss >= options[hull.back()].loss) continue;
    // The last of the hull goes while it lies on or above the line from the one before it to `next`.
    while (hull.size() >= 2) {
      const Option& last = options[hull.back()];
      if (worth_of(options[hull[hull.size() - 2]], last) > worth_of(last, options[next])) break;
      hull.pop_back();
    }
    hull.push_back(next);
  }
  return hull;
}

/// Branch and bound: the bound of a partial choice is the relaxation in which one layer may lie between two options; the
/// search branches over that layer.
class Search {
 public:
  Search(const Layers& layers, double limit, std::uint64_t most_nodes) : layers_(layers), limit_(limit), nodes_left_(most_nodes) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::vector<std::size_t> hull = hull_of(layers[i]);
      cheapest_.push_back(hull.front());
      for (std::size_t k = 1; k < hull.size(); ++k) {
        const Option& from = layers[i][hull[k - 1]];
        const Option& to = layers[i][hull[k]];
        steps_.push_back({i, hull[k], to.cost - from.cost, from.loss - to.loss, worth_of(from, to)});
      }
    }
    std::stable_sort(steps_.begin(), steps_.end(), [](const Step& a, const Step& b) { return a.worth > b.worth; });
    fixed_.assign(layers.size(), kFree);
  }

  std::optional<Choice> run() {
    const Relaxed root = relax();
    if (!root.is_feasible) return std::nullopt;
    branch(root);
    best_.is_best = nodes_left_ > 0;
    best_.least_loss = best_.is_best ? best_.loss : std::min(root.bound, best_.loss);
    return best_;
  }

 private:
  static constexpr std::size_t kFree = std::numeric_limits<std::size_t>::max();

  struct Relaxed {
    bool is_feasible = false;
    double bound = 0;           ///< no choice below this node has less loss
    std::size_t layer = kFree;  ///< that lies between two options; none where the relaxation is a choice
  };

  /// Solves the relaxation of what is fixed, and offers the choice that it rounds to.
  Relaxed relax() {
    std::vector<std::size_t> chosen(layers_.size());
    double cost = 0;
    double loss = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      chosen[i] = fixed_[i] == kFree ? cheapest_[i] : fixed_[i];
      cost += layers_[i][chosen[i]].cost;
      loss += layers_[i][chosen[i]].loss;
    }
    Relaxed result;
    if (cost > limit_) return result;
    result.is_feasible = true;
    result.bound = loss;
    std::vector<char> is_blocked(layers_.size(), 0);
    for (const Step& step : steps_) {
      if (fixed_[step.layer] != kFree || is_blocked[step.layer] != 0) continue;
      if (cost + step.cost <= limit_) {
        cost += step.cost;
        loss -= step.gain;
        if (result.layer == kFree) result.bound = loss;
        chosen[step.layer] = step.to;
        continue;
      }
      if (result.layer == kFree) {
        result.layer = step.layer;
        result.bound = loss - step.gain * ((limit_ - cost) / step.cost);
      }
      is_blocked[step.layer] = 1;  // its further steps cost more still
    }
    improve(chosen, cost);
    offer(std::move(chosen));
    return result;
  }

  /// Spends what is left of the limit on options that no price makes best.
  void improve(std::vector<std::size_t>& chosen, double cost) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (fixed_[i] != kFree) continue;
      for (std::size_t option = 0; option < layers_[i].size(); ++option) {
        const double more = layers_[i][option].cost - layers_[i][chosen[i]].cost;
        if (layers_[i][option].loss >= layers_[i][chosen[i]].loss || cost + more > limit_) continue;
        cost += more;
        chosen[i] = option;
      }
    }
  }

  void offer(std::vector<std::size_t> chosen) {
    // Summed in the order of the layers: equal choices have equal sums, however they were found.
    double cost = 0;
    double loss = 0;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      cost += layers_[i][chosen[i]].cost;
      loss += layers_[i][chosen[i]].loss;
    }
    if (cost > limit_ || loss >= best_.loss) return;
    best_.options = std::move(chosen);
    best_.cost = cost;
    best_.loss = loss;
  }

  void branch(const Relaxed& node) {
    if (node.layer == kFree || nodes_left_ == 0) return;
    std::vector<std::pair<Relaxed, std::size_t>> children;
    for (std::size_t option = 0; option < layers_[node.layer].size() && nodes_left_ > 0; ++option) {
      --nodes_left_;
      fixed_[node.layer] = option;
      const Relaxed child = relax();
      if (child.is_feasible) children.emplace_back(child, option);
    }
    std::stable_sort(children.begin(), children.end(), [](const auto& a, const auto& b) { return a.first.bound < b.first.bound; });
    for (const auto& [child, option] : children) {
      if (child.bound >= best_.loss - kEqual * std::abs(best_.loss)) break;
      fixed_[node.layer] = option;
      branch(child);
    }
    fixed_[node.layer] = kFree;
  }

  const Layers& layers_;
  double limit_;
  std::uint64_t nodes_left_;
  std::vector<std::size_t> cheapest_;  ///< option of each layer
  std::vector<Step> steps_;            ///< those worth most first
  std::vector<std::size_t> fixed_;     ///< option of each layer, or kFree
  Choice best_{.loss = std::numeric_limits<double>::infinity()};
};

/// Steps of a search, each of which looks at every option once; about a second's work.
constexpr std::uint64_t kMostWork = 200'000'000;
constexpr std::uint64_t kFewestNodes = 10'000;

}  // namespace

std::uint64_t most_nodes(const Layers& layers) {
  std::uint64_t options = 1;
  for (const auto& layer : layers) options += layer.size();
  return std::max(kFewestNodes, kMostWork / options);
}

std::optional<Choice> choose(const Layers& layers, double limit, std::uint64_t n_nodes) { return Search(layers, limit, n_nodes).run(); }

std::optional<Choice> choose(const Layers& layers, double limit) { return choose(layers, limit, most_nodes(layers)); }

}  // namespace halftone::allocate
