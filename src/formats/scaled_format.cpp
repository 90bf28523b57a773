#include "formats/scaled_format.hpp"

#include <fmt/format.h>

#include "base/checked.hpp"
#include "formats/layer_names.hpp"

namespace halftone::formats {
namespace {

/// 1.0 in little-endian binary32.
const std::string kOne("\x00\x00\x80\x3F", 4);

/// The reference squeezes one-element scales to 0 dimensions when it saves.
Shape squeezed(Shape shape) { return element_count(shape) == 1 ? Shape{} : shape; }

}  // namespace

Support ScaledFormat::accepts(const TensorInfo& weight, const QuantSpec& spec) const {
  if (facts_.grid != ScaleGrid::block) return {};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (weight.shape[axis] % spec.block_size == 0) continue;
    return {false, fmt::format("its {} {} are no multiple of the block size {}", weight.shape[axis], axis == 0 ? "rows" : "columns",
                               spec.block_size)};
  }
  return {};
}

std::optional<Shape> ScaledFormat::scale_shape(const Shape& weight, const QuantSpec& spec) const {
  switch (facts_.grid) {
    case ScaleGrid::none: return std::nullopt;
    case ScaleGrid::tensor: return Shape{};
    case ScaleGrid::row: return squeezed(facts_.row_scales_are_columns ? Shape{weight[0], 1} : Shape{weight[0]});
    case ScaleGrid::block: return squeezed({base::ceil_div(weight[0], spec.block_size), base::ceil_div(weight[1], spec.block_size)});
  }
  return std::nullopt;
}

// The text is what Python's json.dumps gives, keys in the reference's order.
std::string ScaledFormat::sidecar_json(const QuantSpec& spec) const {
  if (facts_.comfy_format.empty()) return {};
  std::string json = fmt::format("{{\"format\": \"{}\"", facts_.comfy_format);
  if (facts_.grid == ScaleGrid::block) json += fmt::format(", \"group_size\": {}", spec.block_size);
  if (spec.full_precision_mm) json += ", \"full_precision_matrix_mult\": true";
  if (facts_.writes_per_row) json += ", \"per_row\": true";
  return json + "}";
}

std::vector<LayerTensor> ScaledFormat::outputs(const TensorInfo& weight, const QuantSpec& spec) const {
  const std::string base = base_name(weight.name);
  std::vector<LayerTensor> tensors{{Role::codes, weight.name, facts_.code_dtype, weight.shape, {}}};
  if (auto shape = scale_shape(weight.shape, spec)) {
    tensors.push_back({Role::scales, base + std::string(kScaleSuffix), Dtype::F32, std::move(*shape), {}});
  }
  if (std::string json = sidecar_json(spec); !json.empty()) {
    tensors.push_back({Role::sidecar, base + std::string(kSidecarSuffix), Dtype::U8, {json.size()}, json});
  }
  if (facts_.always_input_scale || (spec.input_scale && facts_.takes_input_scale)) {
    tensors.push_back({Role::input_scale, base + std::string(kInputScaleSuffix), Dtype::F32, {}, kOne});
  }
  return tensors;
}

std::optional<QuantSpec> ScaledFormat::recognise(const StoredLayer& layer) const {
  if (layer.comfy_format != facts_.comfy_format || layer.rotated) return std::nullopt;
  if (layer.weight->dtype != facts_.code_dtype || layer.weight->shape.size() != 2) return std::nullopt;
  QuantSpec spec{this, layer.group_size, false, false};
  if (facts_.grid != ScaleGrid::block) spec.block_size = 0;
  if (facts_.grid == ScaleGrid::block && (spec.block_size == 0 || !accepts(*layer.weight, spec))) return std::nullopt;
  const auto expected = scale_shape(layer.weight->shape, spec);
  if (expected.has_value() != (layer.scales != nullptr)) return std::nullopt;
  if (expected && (layer.scales->dtype != Dtype::F32 || squeezed(layer.scales->shape) != *expected)) return std::nullopt;
  return spec;
}

}  // namespace halftone::formats
