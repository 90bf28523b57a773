#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <halftone/format.hpp>
#include <halftone/model.hpp>

#include "formats/declared_facts.hpp"

namespace halftone::formats {

/// How Halftone reads a layer, and from which tensors.
struct ReadableLayer {
  QuantSpec spec;
  Shape shape;  ///< of the dequantized weight
  const ModelTensor* scales = nullptr;
  const ModelTensor* tensor_scale = nullptr;
  const ModelTensor* row_scales = nullptr;
  const ModelTensor* levels = nullptr;
  const ModelTensor* nested_scales = nullptr;
  const ModelTensor* nested_levels = nullptr;
  float nested_offset = 0;
};

/// A layer of a model that is stored quantized.
struct QuantizedLayer {
  std::string base;                       ///< layer name without ".weight"
  std::string format_text;                ///< `format` of its JSON, or the element type of a plain cast
  const ModelTensor* weight = nullptr;    ///< never null
  std::optional<ReadableLayer> readable;  ///< empty where Halftone cannot read it
  std::string contradiction;              ///< why not, where its tensors contradict what it is said to be
  std::vector<std::string> companions;    ///< names of every tensor that belongs to it besides the weight

  /// The name of Halftone's format, or, where that is not known, what the file calls it.
  [[nodiscard]] std::string format_name() const { return readable ? std::string(readable->spec.format->name()) : format_text; }
  /// Throws bad_quantization or unsupported where Halftone cannot read the layer.
  void require_readable() const;
  /// Those of the companions that hold scales.
  [[nodiscard]] std::vector<std::string> scale_names() const;
};

/// The quantized layers of a model, by base name.  A layer's JSON in the header's
/// `_quantization_metadata` overrides its `.comfy_quant` tensor, as ComfyUI has it.
/// `on_broken` is told where a JSON text is broken; without it that throws bad_quantization.
[[nodiscard]] std::vector<QuantizedLayer> find_quantized_layers(const ModelIndex& model, const SideTexts& texts,
                                                                const OnBroken& on_broken = refuse_broken);

/// The layer that a tensor belongs to by its name: the base name of weights and of what stands beside them, and the
/// name itself of other tensors.
[[nodiscard]] std::string layer_of(std::string_view tensor);

/// The stored layers of a model by the names of their weights.
class StoredByWeight {
 public:
  /// `layers` must outlive this.
  explicit StoredByWeight(const std::vector<QuantizedLayer>& layers);
  /// Null where `weight` belongs to no stored layer.
  [[nodiscard]] const QuantizedLayer* find(std::string_view weight) const;
  [[nodiscard]] const std::vector<QuantizedLayer>& layers() const noexcept { return layers_; }

 private:
  const std::vector<QuantizedLayer>& layers_;
  std::unordered_map<std::string_view, const QuantizedLayer*> by_weight_;
};

}  // namespace halftone::formats
