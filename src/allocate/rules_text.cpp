#include "allocate/rules_text.hpp"

#include <fmt/format.h>
#include <re2/re2.h>
#include <nlohmann/json.hpp>

#include "base/decibels.hpp"

namespace halftone::allocate {
namespace {

using nlohmann::ordered_json;

/// What matches this name and no other.
ordered_json match_of(const std::string& name) {
  if (name.find('*') == std::string::npos) return {{"glob", name}};
  return {{"regex", fmt::format("^{}$", re2::RE2::QuoteMeta(name))}};
}

ordered_json rule_of(const AllocatedLayer& layer) {
  const AllocationCandidate& choice = layer.choice();
  ordered_json rule = {{"match", match_of(layer.name)}};
  if (choice.is_unchanged) {
    rule["action"] = "keep";
    rule["why"] = choice.format == nullptr
                      ? "allocated: the goal leaves it its precision"
                      : fmt::format("allocated: it is stored as {} already, and stays as it is", choice.format->name());
    return rule;
  }
  rule["action"] = "quantize";
  rule["format"] = choice.format->name();
  rule["why"] = fmt::format("allocated: {} in {} bytes", base::decibels(choice.figures.sqnr_db()), choice.bytes);
  return rule;
}

}  // namespace

std::string rules_text(const std::vector<AllocatedLayer>& layers, const std::vector<LayerCandidates>& kept) {
  ordered_json rules = ordered_json::array();
  for (const AllocatedLayer& layer : layers) rules.push_back(rule_of(layer));
  for (const LayerCandidates& layer : kept) {
    rules.push_back({{"match", match_of(layer.weight->info.name)}, {"action", "keep"}, {"why", layer.kept_because}});
  }
  return ordered_json{{"rules", rules}}.dump(2) + "\n";
}

}  // namespace halftone::allocate
