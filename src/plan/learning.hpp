#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"

namespace halftone::plan {

/// Which weights of a conversion are rounded how, and which biases are corrected with them.
class Learning {
 public:
  /// Without learned rounding, statistics or a correction of biases: nothing is.
  Learning() = default;
  /// Throws usage where an option has no effect, unsupported for a format that cannot be learned, bad_statistics for
  /// statistics that do not fit a weight.
  Learning(const ModelIndex& model, const PlanOptions& options, const std::vector<Decision>& decisions,
           const formats::StoredByWeight& stored);

  /// The recipe of a weight, or null.
  [[nodiscard]] const LearnRecipe* recipe(const std::string& tensor) const;
  /// Whether a tensor is a bias that a weight's job writes.
  [[nodiscard]] bool takes(const std::string& tensor) const { return biases_.count(tensor) != 0; }
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  std::map<std::string, LearnRecipe> recipes_;
  std::set<std::string> biases_;
  std::vector<std::string> notes_;
};

/// Throws usage where options of learned rounding contradict each other or mean nothing.
void check_learn_options(const PlanOptions& options);

}  // namespace halftone::plan
