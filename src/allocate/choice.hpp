#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace halftone::allocate {

/// One way to treat a layer: what it costs, and the loss that it leaves.
struct Option {
  double cost = 0;
  double loss = 0;
};

/// One option for each layer.
struct Choice {
  std::vector<std::size_t> options;  ///< index of the option of each layer
  double cost = 0;
  double loss = 0;
  double least_loss = 0;  ///< no choice within the limit has less
  bool is_best = false;   ///< whether that was proven: the search came to its end
};

/// Chooses an option for each layer so that the costs add up to at most `limit` and the sum of losses is least: the
/// multiple-choice knapsack problem, by its Lagrangian relaxation and branch and bound.  The same arguments give the same
/// choice.  Nothing where no choice is within the limit; every layer must have an option.
[[nodiscard]] std::optional<Choice> choose(const std::vector<std::vector<Option>>& layers, double limit);

/// The same, with the best choice found after `n_nodes` partial choices where the search takes longer.
[[nodiscard]] std::optional<Choice> choose(const std::vector<std::vector<Option>>& layers, double limit, std::uint64_t n_nodes);

/// How many partial choices choose() looks at before it takes the best that it has found.
[[nodiscard]] std::uint64_t most_nodes(const std::vector<std::vector<Option>>& layers);

}  // namespace halftone::allocate
