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
  std::uint32_t nested_block = 0;
  std::optional<float> nested_offset;
  std::optional<Shape> shape;      ///< before packing and padding
  bool full_precision_mm = false;  ///< the loader is asked to dequantize and multiply in full precision
  std::string linear_dtype;        ///< in which the loader multiplies w4a4 layers; empty where it is not said
};

/// Whether two descriptions of one layer mean the same to a loader; a size that only one of them tells is no difference.
[[nodiscard]] bool mean_the_same(const StoredFacts& one, const StoredFacts& other) noexcept;

/// What layers without JSON are called that carry a scale of the older layouts.
inline constexpr std::string_view kLegacyFormat = "scaled_fp8";
inline constexpr std::string_view kLegacyInt8Format = "scaled_int8";

/// Whether `format_text` is one of these.
[[nodiscard]] inline bool is_legacy_format(std::string_view format_text) noexcept {
  return format_text == kLegacyFormat || format_text == kLegacyInt8Format;
}

/// Whether `name` is the root tensor of such a layout, perhaps under a model's prefix; it holds nothing.
[[nodiscard]] inline bool is_legacy_marker(std::string_view name) noexcept {
  const std::size_t dot = name.rfind('.');
  return is_legacy_format(dot == std::string_view::npos ? name : name.substr(dot + 1));
}

/// The facts of a `.comfy_quant` text, or of an entry of `_quantization_metadata`; `base` is the layer.
/// Throws bad_quantization where it is no object with a format, or a value has a wrong type.
[[nodiscard]] StoredFacts facts_of_json(const std::string& base, const nlohmann::ordered_json& layer);

/// The facts of a `.quant_state.bitsandbytes__…` text.  Throws bad_quantization.
[[nodiscard]] StoredFacts facts_of_state(const std::string& base, const nlohmann::ordered_json& state);

/// The scales of a layer without JSON that is of an older layout: `.scale_weight` of FP8 and INT8, and of INT8 also
/// `.weight_scale`; null for other layers.
[[nodiscard]] const TensorInfo* legacy_scales(const StoredLayer& layer);

/// Describes a layer of an older layout in the words of today's, where the shape of its scales tells what they are;
/// else as a format that cannot be read.
void describe_legacy(StoredLayer& layer, const TensorInfo& scales);

}  // namespace halftone::formats
