#pragma once

#include <halftone/linear.hpp>

#include "formats/stored_layers.hpp"
#include "io/model_files.hpp"

namespace halftone::ops {

/// The quantized layer `stored` of `files` as a layer in memory, with its bias and input scale.  Throws what
/// QuantizedLayer::require_readable() does, and bad_quantization for a bias of another length.
[[nodiscard]] LinearLayer layer_in_memory(const io::ModelFiles& files, const formats::QuantizedLayer& stored, const Backend& backend);

}  // namespace halftone::ops
