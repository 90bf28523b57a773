#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include <halftone/format.hpp>

namespace halftone::formats {

/// What the JSON of a quantized layer says, as far as it matters for reading the layer.
struct StoredFacts {
  std::string format;  ///< "nvfp4"; for NF4 and FP4 "bnb_nf4", or "bitsandbytes_nf4" in the layout of bitsandbytes
  std::uint32_t group_size = 0;
  bool per_row = false;
  bool rotated = false;
  std::uint32_t rotation_group = 256;
  std::optional<Shape> shape;      ///< before packing and padding
  bool full_precision_mm = false;  ///< the loader is asked to dequantize and multiply in full precision
  std::string linear_dtype;        ///< in which the loader multiplies w4a4 layers; empty where it is not said
};

/// What layers without JSON are called that carry a scale of the older layout.
inline constexpr std::string_view kLegacyFormat = "scaled_fp8";

/// Whether `name` is the root tensor of that layout, perhaps under a model's prefix; it holds nothing.
[[nodiscard]] inline bool is_legacy_marker(std::string_view name) noexcept {
  return name == kLegacyFormat || name.ends_with(".scaled_fp8");
}

/// The facts of a `.comfy_quant` text, or of an entry of `_quantization_metadata`; `base` is the layer.
/// Throws bad_quantization where it is no object with a format, or a value has a wrong type.
[[nodiscard]] StoredFacts facts_of_json(const std::string& base, const nlohmann::ordered_json& layer);

/// The facts of a `.quant_state.bitsandbytes__…` text.  Throws bad_quantization.
[[nodiscard]] StoredFacts facts_of_state(const std::string& base, const nlohmann::ordered_json& state);

/// Describes a layer of the older layout `scaled_fp8` (`.scale_weight`) in the words of today's,
/// where the shape of its scales tells what they are.
void describe_legacy(StoredLayer& layer);

}  // namespace halftone::formats
