#include "formats/scaled_format.hpp"

#include <fmt/format.h>

#include "base/checked.hpp"
#include "formats/layer_names.hpp"
#include "formats/layer_tensors.hpp"

namespace halftone::formats {

Support ScaledFormat::accepts(const TensorInfo& weight, const QuantSpec& spec) const {
  if (spec.rotation_group != 0 && weight.shape[1] % spec.rotation_group != 0) {
    return {false, fmt::format("its {} columns are no multiple of the rotation group {}", weight.shape[1], spec.rotation_group)};
  }
  if (weight.shape[1] % facts().column_multiple != 0) {
    return {false, fmt::format("its {} columns are no multiple of {}", weight.shape[1], facts().column_multiple)};
  }
  if (grid() != ScaleGrid::block) return {};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    if (weight.shape[axis] % spec.block_size == 0) continue;
    return {false, fmt::format("its {} {} are no multiple of the block size {}", weight.shape[axis], axis == 0 ? "rows" : "columns",
                               spec.block_size)};
  }
  return {};
}

std::optional<Shape> ScaledFormat::scale_shape(const Shape& weight, const QuantSpec& spec) const {
  switch (grid()) {
    case ScaleGrid::none:
    case ScaleGrid::run: return std::nullopt;
    case ScaleGrid::tensor: return Shape{};
    case ScaleGrid::row:
      if (names_.keeps_row_shape) return Shape{weight[0]};
      return squeezed(names_.row_scales_are_columns ? Shape{weight[0], 1} : Shape{weight[0]});
    case ScaleGrid::block: return squeezed({base::ceil_div(weight[0], spec.block_size), base::ceil_div(weight[1], spec.block_size)});
  }
  return std::nullopt;
}

Shape ScaledFormat::code_shape(const Shape& weight) const { return {weight[0], weight[1] * storage().code_bits / 8}; }

// The text is what Python's json.dumps gives, keys in the reference's order.
std::string ScaledFormat::sidecar_json(const TensorInfo&, const QuantSpec& spec) const {
  if (facts().comfy_format.empty()) return {};
  std::string json = fmt::format("{{\"format\": \"{}\"", facts().comfy_format);
  if (grid() == ScaleGrid::block) json += fmt::format(", \"group_size\": {}", spec.block_size);
  if (spec.full_precision_mm) json += ", \"full_precision_matrix_mult\": true";
  if (spec.rotation_group != 0) {
    json += fmt::format("{}, \"convrot_groupsize\": {}", names_.always_rotated ? "" : ", \"convrot\": true", spec.rotation_group);
  }
  if (names_.writes_per_row) json += ", \"per_row\": true";
  return json + "}";
}

std::vector<LayerTensor> ScaledFormat::outputs(const TensorInfo& weight, const QuantSpec& spec) const {
  const std::string base = base_name(weight.name);
  std::vector<LayerTensor> tensors{{Role::codes, weight.name, facts().code_dtype, code_shape(weight.shape), {}}};
  if (auto shape = scale_shape(weight.shape, spec)) {
    const Role role = grid() == ScaleGrid::tensor ? Role::tensor_scale : Role::scales;
    tensors.push_back({role, joined(base, kScaleSuffix), Dtype::F32, std::move(*shape), {}});
  }
  add_sidecar(tensors, base, sidecar_json(weight, spec));
  if (names_.always_input_scale || (spec.input_scale && facts().takes_input_scale)) add_input_scale(tensors, base);
  return tensors;
}

std::optional<StoredSpec> ScaledFormat::recognise(const StoredLayer& layer) const {
  if (layer.comfy_format != facts().comfy_format) return std::nullopt;
  const bool rotated = layer.rotated || names_.always_rotated;
  if (rotated == facts().rotation_groups.empty()) return std::nullopt;
  if (layer.weight->dtype != facts().code_dtype || layer.weight->shape.size() != 2) return std::nullopt;
  StoredSpec stored{.spec = {.format = this, .rotation_group = rotated ? layer.rotation_group : 0}, .shape = layer.weight->shape};
  stored.shape[1] = stored.shape[1] * 8 / storage().code_bits;
  if (grid() == ScaleGrid::block) stored.spec.block_size = layer.group_size;
  if (grid() == ScaleGrid::block && layer.group_size == 0) return std::nullopt;
  if (!accepts({.name = {}, .dtype = {}, .shape = stored.shape}, stored.spec)) return std::nullopt;
  const TensorInfo* scales = layer.companion(kScaleSuffix);
  const auto expected = scale_shape(stored.shape, stored.spec);
  if (expected.has_value() != (scales != nullptr)) return std::nullopt;
  if (expected && (scales->dtype != Dtype::F32 || squeezed(scales->shape) != squeezed(*expected))) return std::nullopt;
  (grid() == ScaleGrid::tensor ? stored.tensor_scale : stored.scales) = scales;
  return stored;
}

}  // namespace halftone::formats
