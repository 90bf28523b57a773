#include <cstring>

#include <fmt/format.h>

#include "formats/layer_names.hpp"
#include "formats/layer_tensors.hpp"
#include "formats/rotation.hpp"
#include "formats/w4a8/format.hpp"

namespace halftone::formats::w4a8 {
namespace {

/// Codes in `<layer>.weight`, and beside them the scales of groups and of rows and the table.
class Descriptor : public FormatDescriptor {
 public:
  using FormatDescriptor::FormatDescriptor;

  [[nodiscard]] Support accepts(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::string sidecar_json(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::vector<LayerTensor> outputs(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] LayerReading recognise(const StoredLayer& layer) const override;
};

/// The table as little-endian binary32.
std::string table_bytes() {
  std::string bytes(16 * sizeof(float), '\0');
  for (std::uint32_t code = 0; code < 16; ++code) {
    const float value = Format::level(code);
    std::memcpy(bytes.data() + code * sizeof value, &value, sizeof value);
  }
  return bytes;
}

Support Descriptor::accepts(const TensorInfo& weight, const QuantSpec& spec) const {
  const std::uint64_t columns = weight.shape[1];
  if (!is_rotation_group(spec.rotation_group)) {
    return {false, fmt::format("a rotation group of {} is no power of 4 from 4 to {}", spec.rotation_group, kMostRotationGroup)};
  }
  if (columns % spec.rotation_group != 0) {
    return {false, fmt::format("its {} columns are no multiple of the rotation group {}", columns, spec.rotation_group)};
  }
  if (spec.group_size < 4 || (16 % spec.group_size != 0 && spec.group_size % 16 != 0)) {
    return {false, fmt::format("a group size of {} is neither 4 or 8 nor a multiple of 16", spec.group_size)};
  }
  for (const std::uint32_t multiple : {facts().column_multiple, spec.group_size}) {
    if (columns % multiple != 0) return {false, fmt::format("its {} columns are no multiple of {}", columns, multiple)};
  }
  return {};
}

std::string Descriptor::sidecar_json(const TensorInfo&, const QuantSpec& spec) const {
  return fmt::format("{{\"format\": \"{}\", \"group_size\": {}{}, \"convrot_groupsize\": {}}}", facts().comfy_format, spec.group_size,
                     spec.full_precision_mm ? ", \"full_precision_matrix_mult\": true" : "", spec.rotation_group);
}

std::vector<LayerTensor> Descriptor::outputs(const TensorInfo& weight, const QuantSpec& spec) const {
  const std::string base = base_name(weight.name);
  const std::uint64_t rows = weight.shape[0];
  const std::uint64_t columns = weight.shape[1];
  std::vector<LayerTensor> tensors{{Role::codes, weight.name, facts().code_dtype, {rows, columns / 2}, {}},
                                   {Role::scales, joined(base, kGroupScalesSuffix), Dtype::F8_E4M3, {rows, columns / spec.group_size}, {}},
                                   {Role::row_scales, joined(base, kRowScalesSuffix), Dtype::F32, {rows}, {}},
                                   {Role::constant, joined(base, kLevelsSuffix), Dtype::F32, {16}, table_bytes()}};
  add_sidecar(tensors, base, sidecar_json(weight, spec));
  return tensors;
}

LayerReading Descriptor::recognise(const StoredLayer& layer) const {
  if (layer.comfy_format != facts().comfy_format) return {};
  if (layer.companion(kCorrectionSuffix) != nullptr) {
    return {{}, fmt::format("{} expects no '{}', which belongs to the asymmetric variant", name(), kCorrectionSuffix)};
  }
  if (layer.weight->shape.size() != 2) {
    return {{}, fmt::format("{} expects a matrix, not {}", name(), to_string(layer.weight->shape))};
  }
  const std::uint64_t rows = layer.weight->shape[0];
  const std::uint32_t group = layer.group_size != 0 ? layer.group_size : facts().group_sizes.front();
  StoredSpec stored{.spec = {.format = this, .rotation_group = layer.rotation_group, .group_size = group},
                    .shape = {rows, layer.weight->shape[1] * 2}};
  std::string found = contradiction(*this, layer, "", facts().code_dtype, {layer.weight->shape});
  if (!found.empty()) return {{}, std::move(found)};
  if (const Support fits = accepts({.name = {}, .dtype = {}, .shape = stored.shape}, stored.spec); !fits) return {{}, fits.reason};
  found = contradiction(*this, layer, kGroupScalesSuffix, Dtype::F8_E4M3, {{rows, stored.shape[1] / group}}, true);
  if (found.empty()) found = contradiction(*this, layer, kRowScalesSuffix, Dtype::F32, {{rows}});
  if (found.empty() && layer.companion(kLevelsSuffix) != nullptr) found = contradiction(*this, layer, kLevelsSuffix, Dtype::F32, {{16}});
  if (!found.empty()) return {{}, std::move(found)};
  stored.scales = layer.companion(kGroupScalesSuffix);
  stored.row_scales = layer.companion(kRowScalesSuffix);
  stored.levels = layer.companion(kLevelsSuffix);
  return {std::move(stored), {}};
}

}  // namespace

const FormatDescriptor& descriptor() {
  static const Descriptor format({
      .name = "w4a8",
      .comfy_format = "asym_w4a8_int8",
      .summary = "INT4 of rotated rows by a table, an FP8 scale per group and one scale per row",
      .loaders = "ComfyUI",
      .code_dtype = Dtype::I8,
      .storage = storage_of<Format>(),
      .rotation_groups = {256, 64, 16},
      .group_sizes = {16, 4, 8, 32, 64, 128},
      .heuristic_block = 64,
      .column_multiple = 16,
      .keeps_unfit = true,
      // Sums over the largest group, 128 weights, stay finite.
      .largest_weight = 0x1p120F,
  });
  return format;
}

}  // namespace halftone::formats::w4a8
