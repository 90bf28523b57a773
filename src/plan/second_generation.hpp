#pragma once

#include <string>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"

namespace halftone::plan {

class PlanBuilder;

/// Layers that were quantized already and are quantized anew.
struct SecondGeneration {
  std::vector<std::string> layers;  ///< their names without ".weight"
  std::vector<std::string> notes;   ///< what the user should know of it
};

/// Adds what the decisions write to `builder` and sets their out_bytes.
SecondGeneration add_all(const ModelIndex& model, PlanBuilder& builder, std::vector<Decision>& decisions,
                         const formats::StoredByWeight& stored);

/// Drops the scales and labels of layers that are quantized anew, and the marker of the older layout with its
/// last layer.
void drop_companions(std::vector<Decision>& decisions, const formats::StoredByWeight& stored);

}  // namespace halftone::plan
