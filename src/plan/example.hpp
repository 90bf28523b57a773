#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <halftone/example.hpp>
#include <halftone/plan.hpp>

namespace halftone::plan {

/// What decided for a layer that follows the example.
inline constexpr const char* kLikeRule = "--like";

/// The layers of an example by the names that a model gives them.  Where more layers match so, the names of one are
/// taken with a prefix in front of them that the other lacks.
class ExampleLayers {
 public:
  /// `example` must outlive this.  Throws usage where no layer of it is in the model.
  ExampleLayers(const Example& example, const ModelIndex& model);

  [[nodiscard]] const std::string& name() const noexcept { return example_.name; }
  /// How the example stores the layer; null where it has no such layer.
  [[nodiscard]] const std::optional<QuantSpec>* find(std::string_view weight) const;
  /// What the user should know: the prefix, the layers of the example that the model lacks, and those that the
  /// example lacks, of which `decisions` tell.
  [[nodiscard]] std::vector<std::string> notes(const std::vector<Decision>& decisions) const;

 private:
  void bridge(const std::vector<std::string_view>& weights);
  /// The name in the example of a weight of the model.
  [[nodiscard]] std::string bridged(std::string_view weight) const;

  const Example& example_;
  std::string added_;     ///< prefix of the example's names that the model's lack
  std::string stripped_;  ///< prefix of the model's names that the example's lack
};

/// Decides a layer as the example has it; false where the example does not know it.
/// Throws usage for a block size or rotation group that Halftone does not write.
bool apply_example(Decision& decision, const ExampleLayers& example, const PlanOptions& options);

}  // namespace halftone::plan
