#include "plan/second_generation.hpp"

#include <string_view>
#include <unordered_map>

#include <fmt/format.h>

#include "formats/stored_facts.hpp"
#include "plan/plan_builder.hpp"

namespace halftone::plan {
namespace {

/// Bytes of all tensors of a stored layer.
std::uint64_t stored_bytes(const ModelIndex& model, const formats::QuantizedLayer& layer) {
  std::uint64_t bytes = layer.weight->info.bytes();
  for (const std::string& name : layer.companions) bytes += model.find(name)->info.bytes();
  return bytes;
}

/// "1 layer was" or "3 layers were".
std::string layers(std::size_t n, std::string_view verb_of_one, std::string_view verb_of_many) {
  return n == 1 ? fmt::format("1 layer {}", verb_of_one) : fmt::format("{} layers {}", n, verb_of_many);
}

}  // namespace

SecondGeneration add_all(const ModelIndex& model, PlanBuilder& builder, std::vector<Decision>& decisions,
                         const formats::StoredByWeight& stored) {
  SecondGeneration again;
  std::size_t larger = 0;
  for (Decision& decision : decisions) {
    const auto* layer = decision.action == Action::quantize ? stored.find(decision.tensor) : nullptr;
    if (layer == nullptr) {
      builder.add(decision);
      continue;
    }
    builder.add_again(decision, *layer);
    again.layers.push_back(layer->base);
    if (decision.out_bytes > stored_bytes(model, *layer)) ++larger;
  }
  if (again.layers.empty()) return again;
  again.notes.push_back(fmt::format("second generation: {} quantized already, and the errors of both formats add up",
                                    layers(again.layers.size(), "was", "were")));
  if (larger > 0) again.notes.push_back(fmt::format("{} larger than in the input", layers(larger, "becomes", "become")));
  return again;
}

void drop_companions(std::vector<Decision>& decisions, const formats::StoredByWeight& stored) {
  std::unordered_map<std::string_view, Decision*> by_name;
  for (Decision& decision : decisions) by_name.emplace(decision.tensor, &decision);
  const auto drop = [&](Decision& decision, const char* reason) {
    decision.action = Action::drop;
    decision.spec = {};
    decision.rule = "stored";
    decision.reason = reason;
  };
  bool legacy_anew = false;
  bool legacy_kept = false;
  for (const formats::QuantizedLayer& layer : stored.layers()) {
    const bool anew = by_name.at(layer.weight->info.name)->action == Action::quantize;
    if (formats::is_legacy_format(layer.format_text)) (anew ? legacy_anew : legacy_kept) = true;
    if (!anew) continue;
    for (const std::string& name : layer.companions) drop(*by_name.at(name), "belongs to a layer that is quantized anew");
  }
  if (!legacy_anew || legacy_kept) return;
  for (Decision& decision : decisions) {
    if (formats::is_legacy_marker(decision.tensor)) drop(decision, "marks the older layout");
  }
}

}  // namespace halftone::plan
