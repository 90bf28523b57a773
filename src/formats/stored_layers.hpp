#pragma once

#include <optional>
#include <string>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/model.hpp>

namespace halftone::formats {

/// A layer of a model that is stored quantized.
struct QuantizedLayer {
  std::string base;                     ///< layer name without ".weight"
  std::string format_text;              ///< `format` of its JSON, or the element type of a plain cast
  const ModelTensor* weight = nullptr;  ///< never null
  const ModelTensor* scales = nullptr;  ///< null without scales
  std::optional<QuantSpec> spec;        ///< how it was written; empty where Halftone cannot read it
  std::vector<std::string> companions;  ///< names of every tensor that belongs to it besides the weight
};

/// The quantized layers of a model, by base name.  A layer's JSON in the header's
/// `_quantization_metadata` overrides its `.comfy_quant` tensor, as ComfyUI has it.
/// Throws bad_quantization where a JSON text is broken.
[[nodiscard]] std::vector<QuantizedLayer> find_quantized_layers(const ModelIndex& model, const SideTexts& texts);

}  // namespace halftone::formats
