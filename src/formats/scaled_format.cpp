#include "formats/scaled_format.hpp"

#include <fmt/format.h>

#include "base/checked.hpp"
#include "formats/layer_names.hpp"
#include "formats/layer_tensors.hpp"
#include "formats/rotation.hpp"

namespace halftone::formats {
namespace {

/// The ways in which writers spell the shape of scales: ours first, and with or without the last extent of 1.
std::vector<Shape> spellings(const Shape& shape) {
  if (element_count(shape) == 1) return {{}, {1}, {1, 1}};
  if (shape.size() == 1) return {shape, {shape[0], 1}};
  if (shape[1] == 1) return {shape, {shape[0]}};
  return {shape};
}

}  // namespace

Support ScaledFormat::accepts(const TensorInfo& weight, const QuantSpec& spec) const {
  if (!facts().rotation_groups.empty() && !is_rotation_group(spec.rotation_group)) {
    return {false, fmt::format("a rotation group of {} is no power of 4 from 4 to {}", spec.rotation_group, kMostRotationGroup)};
  }
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

bool ScaledFormat::is_named_by(const StoredLayer& layer) const {
  if (layer.comfy_format != facts().comfy_format) return false;
  const bool rotated = layer.rotated || names_.always_rotated;
  if (rotated == facts().rotation_groups.empty()) return false;
  return !layer.per_row || names_.writes_per_row;
}

LayerReading ScaledFormat::recognise(const StoredLayer& layer) const {
  if (!is_named_by(layer)) return {};
  const auto expects = [&](std::string_view what) { return LayerReading{{}, fmt::format("{} expects {}", name(), what)}; };
  const bool any_shape = grid() == ScaleGrid::none;  // an element is all there is
  if (layer.weight->shape.size() != 2 && !any_shape) return expects("a matrix, not " + to_string(layer.weight->shape));
  const bool described = !facts().comfy_format.empty();
  if (std::string found = contradiction(*this, layer, "", facts().code_dtype, {layer.weight->shape}); !found.empty()) {
    return described ? LayerReading{{}, std::move(found)} : LayerReading{};
  }
  StoredSpec stored{.spec = {.format = this, .rotation_group = facts().rotation_groups.empty() ? 0 : layer.rotation_group},
                    .shape = layer.weight->shape};
  if (any_shape) {
    const bool scaled = layer.companion(kScaleSuffix) != nullptr || layer.companion(kLegacyScaleSuffix) != nullptr;
    return scaled ? LayerReading{} : LayerReading{std::move(stored), {}};
  }
  stored.shape[1] = stored.shape[1] * 8 / storage().code_bits;
  if (grid() == ScaleGrid::block) stored.spec.block_size = layer.group_size;
  if (grid() == ScaleGrid::block && layer.group_size == 0) return expects("a 'group_size' that is a positive number");
  if (const Support fits = accepts({.name = {}, .dtype = {}, .shape = stored.shape}, stored.spec); !fits) return {{}, fits.reason};
  const auto expected = scale_shape(stored.shape, stored.spec);
  if (expected) {
    if (std::string found = contradiction(*this, layer, kScaleSuffix, Dtype::F32, spellings(*expected)); !found.empty()) {
      return {{}, std::move(found)};
    }
  }
  (grid() == ScaleGrid::tensor ? stored.tensor_scale : stored.scales) = layer.companion(kScaleSuffix);
  return {std::move(stored), {}};
}

}  // namespace halftone::formats
