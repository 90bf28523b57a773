#pragma once

#include <string>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"

namespace halftone::plan {

/// What decided for a layer that is kept because its format does not take its shape.
inline constexpr const char* kShapeRule = "shape";

/// What decided for a layer that is kept because the target would load it and then fail.
inline constexpr const char* kTargetRule = "--target comfyui";

/// What decided for a layer that is quantized already and stays as it is.
inline constexpr const char* kStoredRule = "stored";

/// Keeps a layer that is stored as it was to be written.
void keep_stored(Decision& decision);

/// Whether convert_to_quant's `heuristic` would leave a rows × columns layer alone; the reason, or "".
[[nodiscard]] std::string heuristic_reason(Heuristic heuristic, const Shape& shape, std::uint32_t block);

/// Turns a decision to quantize into a kept layer, with the reason, where the layer cannot or
/// should not be quantized.  `stored` is set where the layer is quantized already.
/// Throws unsupported, indivisible.
void apply_constraints(Decision& decision, const TensorInfo& tensor, const formats::QuantizedLayer* stored, const PlanOptions& options);

}  // namespace halftone::plan
