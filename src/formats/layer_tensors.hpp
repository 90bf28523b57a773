#pragma once

#include <string>
#include <vector>

#include <halftone/format.hpp>

namespace halftone::formats {

// Pieces that the tensors of several formats have in common.

/// () for the shape of a single element: the reference squeezes such scales when it saves.
[[nodiscard]] Shape squeezed(Shape shape);

/// Adds `<base>.comfy_quant` with `json`, unless that is empty.
void add_sidecar(std::vector<LayerTensor>& tensors, const std::string& base, std::string json);

/// Adds `<base>.input_scale`, 1.0.
void add_input_scale(std::vector<LayerTensor>& tensors, const std::string& base);

/// `, "group_size": 16, "orig_dtype": "torch.bfloat16", "orig_shape": [3072, 3072]`: how the reference
/// describes a weight that is packed or padded.  `weight` is the tensor of the input.
[[nodiscard]] std::string origin_json(const TensorInfo& weight, std::uint32_t group_size);

/// What `format` expects of the tensor that `layer` has under `suffix` ("" for the weight itself), as a
/// contradiction; empty where the tensor is there with this type, or U8 where `or_bytes`, and one of the shapes.
[[nodiscard]] std::string contradiction(const FormatDescriptor& format, const StoredLayer& layer, std::string_view suffix, Dtype dtype,
                                        const std::vector<Shape>& shapes, bool or_bytes = false);

}  // namespace halftone::formats
