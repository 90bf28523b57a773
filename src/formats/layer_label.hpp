#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace halftone::formats {

// The JSON of a quantized layer, as `.comfy_quant` and the entries of `_quantization_metadata` hold it.

/// The object of a `.comfy_quant` text of the layer `base`.  Throws bad_quantization.
[[nodiscard]] nlohmann::ordered_json parse_label(std::string_view text, const std::string& base);

/// Sets or clears the wish to multiply in full precision, at the place where `convert` writes it.
/// False where the label says so already.
bool set_full_precision(nlohmann::ordered_json& label, bool wanted);

/// Moves what older files of convert_to_quant nest in `params` to where loaders look: the group size
/// first, then what is not there yet.  False where nothing is nested.
bool flatten_params(nlohmann::ordered_json& label);

}  // namespace halftone::formats
