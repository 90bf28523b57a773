#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"

namespace halftone::plan {

class PlanBuilder;

/// The stored layers of a model by the names of their weights.
class StoredByWeight {
 public:
  /// `layers` must outlive this.
  explicit StoredByWeight(const std::vector<formats::QuantizedLayer>& layers);
  /// Null where `weight` belongs to no stored layer.
  [[nodiscard]] const formats::QuantizedLayer* find(std::string_view weight) const;

 private:
  std::unordered_map<std::string_view, const formats::QuantizedLayer*> layers_;
};

/// Layers that were quantized already and are quantized anew.
struct SecondGeneration {
  std::vector<std::string> layers;  ///< their names without ".weight"
  std::vector<std::string> notes;   ///< what the user should know of it
};

/// Adds what the decisions write to `builder` and sets their out_bytes.
SecondGeneration add_all(const ModelIndex& model, PlanBuilder& builder, std::vector<Decision>& decisions, const StoredByWeight& stored);

}  // namespace halftone::plan
