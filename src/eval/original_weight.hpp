#pragma once

#include "eval/float_reader.hpp"
#include "formats/stored_layers.hpp"

namespace halftone::eval {

/// Gives `layer`, which must be readable, the shape of the original's weight where nothing in its file says how far it
/// was filled up; any other shape stays.
void take_original_shape(formats::QuantizedLayer& layer, const Shape& original);

/// The bits of the largest magnitude of `tensor`.
[[nodiscard]] std::uint32_t largest_magnitude(const FloatModel& model, const ModelTensor& tensor, const Backend& backend,
                                              const std::atomic<bool>& stop);

}  // namespace halftone::eval
