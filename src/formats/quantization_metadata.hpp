#pragma once

#include <string>
#include <utility>
#include <vector>

#include <halftone/safetensors.hpp>

namespace halftone::formats {

/// Layer base names and their `.comfy_quant` texts, in the order in which they are written.
using LayerTexts = std::vector<std::pair<std::string, std::string>>;

/// Sets `_quantization_metadata` to `{"format_version": "1.0", "layers": {…}}` in the spelling of
/// Python's json.dumps.  Layers that an existing entry names and `layers` does not are kept.
/// Throws bad_quantization where the existing entry is no such object.
void add_quantization_metadata(Metadata& metadata, const LayerTexts& layers);

/// Removes layers, by base name, from an existing `_quantization_metadata`; nothing happens without one.
void remove_layers(Metadata& metadata, const std::vector<std::string>& layers);

/// Whether an entry is JSON with an object `layers`, as loaders expect.
[[nodiscard]] bool has_layers(const std::string& entry) noexcept;

}  // namespace halftone::formats
