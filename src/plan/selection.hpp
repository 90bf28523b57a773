#pragma once

#include <optional>
#include <string>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"
#include "plan/example.hpp"

namespace halftone::plan {

/// A two-dimensional `*.weight`.
[[nodiscard]] bool is_layer(const TensorInfo& tensor);

/// `spec` without the wishes that mean nothing to its format.
[[nodiscard]] QuantSpec heeded(QuantSpec spec);

/// The rules that decide a conversion, in the order of their precedence.
struct RuleSet {
  std::vector<Rule> user;
  std::vector<Rule> preset;
  std::vector<Match> include;
  std::vector<Match> exclude;
  std::optional<ExampleLayers> like;
  std::string preset_name;
  std::string preset_reason;
  std::vector<std::string> notes;  ///< what the user should know of the presets
};

/// Compiles the patterns and chooses the presets.  Throws usage, bad_rules.
[[nodiscard]] RuleSet collect_rules(const ModelIndex& model, const PlanOptions& options);

/// Decides every tensor of the model, by name.
/// Throws unused_rule, indivisible, unsupported.
[[nodiscard]] std::vector<Decision> decide(const ModelIndex& model, const formats::StoredByWeight& stored, const RuleSet& rules,
                                           const PlanOptions& options);

}  // namespace halftone::plan
