#include "plan/second_generation.hpp"

#include <fmt/format.h>

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

StoredByWeight::StoredByWeight(const std::vector<formats::QuantizedLayer>& layers) {
  for (const formats::QuantizedLayer& layer : layers) layers_.emplace(layer.weight->info.name, &layer);
}

const formats::QuantizedLayer* StoredByWeight::find(std::string_view weight) const {
  const auto found = layers_.find(weight);
  return found == layers_.end() ? nullptr : found->second;
}

SecondGeneration add_all(const ModelIndex& model, PlanBuilder& builder, std::vector<Decision>& decisions, const StoredByWeight& stored) {
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

}  // namespace halftone::plan
