#include "formats/run_scaled_format.hpp"

#include <fmt/format.h>

#include "base/checked.hpp"
#include "formats/layer_names.hpp"
#include "formats/layer_tensors.hpp"
#include "formats/swizzle.hpp"

namespace halftone::formats {

Support RunScaledFormat::accepts(const TensorInfo&, const QuantSpec&) const { return {}; }

Shape RunScaledFormat::code_shape(const Shape& weight) const {
  const std::uint64_t padding = storage().padding;
  return {base::round_up(weight[0], padding), base::round_up(weight[1], padding) * storage().code_bits / 8};
}

Shape RunScaledFormat::scale_shape(const Shape& weight) const {
  return {base::round_up(weight[0], Swizzle::kRows), base::round_up(base::ceil_div(weight[1], storage().run), Swizzle::kColumns)};
}

std::string RunScaledFormat::sidecar_json(const TensorInfo& weight, const QuantSpec& spec) const {
  return fmt::format("{{\"format\": \"{}\"{}{}}}", facts().comfy_format, origin_json(weight, storage().run),
                     spec.full_precision_mm ? ", \"full_precision_matrix_mult\": true" : "");
}

std::vector<LayerTensor> RunScaledFormat::outputs(const TensorInfo& weight, const QuantSpec& spec) const {
  const std::string base = base_name(weight.name);
  std::vector<LayerTensor> tensors;
  tensors.push_back({Role::codes, weight.name, facts().code_dtype, code_shape(weight.shape), {}});
  tensors.push_back({Role::scales, joined(base, kScaleSuffix), names_.scale_dtype, scale_shape(weight.shape), {}});
  if (storage().two_level) tensors.push_back({Role::tensor_scale, joined(base, kTensorScaleSuffix), Dtype::F32, {}, {}});
  if (names_.largest_scale) tensors.push_back({Role::largest_scale, joined(base, kLargestScaleSuffix), Dtype::F32, {}, {}});
  add_sidecar(tensors, base, sidecar_json(weight, spec));
  return tensors;
}

LayerReading RunScaledFormat::recognise(const StoredLayer& layer) const {
  if (layer.comfy_format != facts().comfy_format) return {};
  if (layer.weight->shape.size() != 2) {
    return {{}, fmt::format("{} expects a matrix, not {}", name(), to_string(layer.weight->shape))};
  }
  // Without a shape in the JSON, the padding cannot be told from the weight.
  const Shape whole = {layer.weight->shape[0], layer.weight->shape[1] * 8 / storage().code_bits};
  StoredSpec stored{.spec = {.format = this}, .shape = layer.shape.value_or(whole)};
  std::string found = contradiction(*this, layer, "", facts().code_dtype, {code_shape(stored.shape)});
  // The loader reads the bits of either type.
  if (found.empty()) found = contradiction(*this, layer, kScaleSuffix, names_.scale_dtype, {scale_shape(stored.shape)}, true);
  if (found.empty() && storage().two_level) found = contradiction(*this, layer, kTensorScaleSuffix, Dtype::F32, {{}, {1}});
  if (!found.empty()) return {{}, std::move(found)};
  stored.scales = layer.companion(kScaleSuffix);
  stored.tensor_scale = storage().two_level ? layer.companion(kTensorScaleSuffix) : nullptr;
  return {std::move(stored), {}};
}

}  // namespace halftone::formats
