#pragma once

#include <string>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"

namespace halftone::plan {

/// The block size of `spec`, or its format's default where it is 0; 0 for formats without blocks.
/// Throws usage, naming `origin`, where the format does not take that size.
[[nodiscard]] std::uint32_t checked_block_size(const QuantSpec& spec, const std::string& origin);

/// Whether convert_to_quant's `heuristic` would leave a rows × columns layer alone; the reason, or "".
[[nodiscard]] std::string heuristic_reason(Heuristic heuristic, const Shape& shape, std::uint32_t block);

/// Turns a decision to quantize into a kept layer, with the reason, where the layer cannot or
/// should not be quantized.  `stored` is set where the layer is quantized already.
/// Throws unsupported, indivisible.
void apply_constraints(Decision& decision, const TensorInfo& tensor, const formats::QuantizedLayer* stored, const PlanOptions& options);

}  // namespace halftone::plan
