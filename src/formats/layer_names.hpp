#pragma once

#include <string>
#include <string_view>

namespace halftone::formats {

inline constexpr std::string_view kWeightSuffix = ".weight";
inline constexpr std::string_view kScaleSuffix = ".weight_scale";
inline constexpr std::string_view kTensorScaleSuffix = ".weight_scale_2";
inline constexpr std::string_view kLargestScaleSuffix = ".weight_scalar";
inline constexpr std::string_view kGroupScalesSuffix = ".weight_s_rel";  ///< of w4a8, as the next three
inline constexpr std::string_view kRowScalesSuffix = ".weight_s_channel";
inline constexpr std::string_view kLevelsSuffix = ".weight_codebook";
inline constexpr std::string_view kCorrectionSuffix = ".weight_correction";
inline constexpr std::string_view kInputScaleSuffix = ".input_scale";
inline constexpr std::string_view kLegacyScaleSuffix = ".scale_weight";  ///< of the older scaled_fp8 layout
inline constexpr std::string_view kLegacyInputScaleSuffix = ".scale_input";
inline constexpr std::string_view kSidecarSuffix = ".comfy_quant";

// Of NF4 and FP4 layers; these follow the weight's full name.
inline constexpr std::string_view kAbsmaxSuffix = ".absmax";
inline constexpr std::string_view kQuantMapSuffix = ".quant_map";
inline constexpr std::string_view kNestedAbsmaxSuffix = ".nested_absmax";
inline constexpr std::string_view kNestedQuantMapSuffix = ".nested_quant_map";
inline constexpr std::string_view kQuantStateSuffix = ".quant_state.bitsandbytes__";  ///< and "nf4" or "fp4"

/// Entry of `__metadata__` that may describe the quantized layers.
inline constexpr const char* kMetadataKey = "_quantization_metadata";

[[nodiscard]] inline bool has_suffix(std::string_view name, std::string_view suffix) noexcept {
  return name.size() >= suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
}

/// "blocks.0.fc" of "blocks.0.fc.weight"; `name` must end in `suffix`.
[[nodiscard]] inline std::string base_name(std::string_view name, std::string_view suffix = kWeightSuffix) {
  return std::string(name.substr(0, name.size() - suffix.size()));
}

/// `base` followed by `suffix`.
[[nodiscard]] inline std::string joined(std::string_view base, std::string_view suffix) {
  std::string name(base);
  name += suffix;
  return name;
}

}  // namespace halftone::formats
