#include "ops/natural_scales.hpp"

#include <cstring>

#include <halftone/codec/hd.hpp>

#include "formats/double_quant.hpp"
#include "formats/layer_layout.hpp"
#include "formats/scale_rules.hpp"
#include "formats/swizzle.hpp"

namespace halftone::ops {
namespace {

float float_at(const std::vector<std::byte>& bytes, std::size_t i) {
  float value = 0;
  std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
  return value;
}

std::vector<std::byte> unnested(const LinearLayer& layer) {
  std::vector<std::byte> scales(layer.scales.size() * sizeof(float));
  for (std::size_t i = 0; i < layer.scales.size(); ++i) {
    const float level = float_at(layer.nested_levels, std::to_integer<std::size_t>(layer.scales[i]));
    const float scale = formats::nested_scale(level, float_at(layer.nested_scales, i / formats::kNestedBlock), layer.nested_offset);
    std::memcpy(scales.data() + i * sizeof scale, &scale, sizeof scale);
  }
  return scales;
}

}  // namespace

std::vector<std::byte> group_scales(const LinearLayer& layer) {
  if (!layer.nested_scales.empty()) return unnested(layer);
  const formats::LayerLayout layout(layer.spec, layer.rows, layer.columns);
  if (!layout.swizzled()) return layer.scales;
  return formats::Swizzle(layout.groups_across()).untiled(layer.scales, layout.groups_across(), 0, layer.rows);
}

std::vector<std::byte> backend_scales(const LinearLayer& layer) {
  std::vector<std::byte> groups = group_scales(layer);
  if (layer.row_scales.empty()) return groups;
  const formats::LayerLayout layout(layer.spec, layer.rows, layer.columns);
  const std::uint64_t of_groups = layout.group_scale_bytes(1);
  std::vector<std::byte> scales(layout.scale_bytes(layer.rows));
  for (std::uint64_t row = 0; row < layer.rows; ++row) {
    std::byte* out = scales.data() + layout.scale_bytes(row);
    std::memcpy(out, groups.data() + row * of_groups, of_groups);
    std::memcpy(out + of_groups, layer.row_scales.data() + row * sizeof(float), sizeof(float));
  }
  return scales;
}

bool has_own_levels(const LinearLayer& layer) {
  const formats::ScaleRules& rules = formats::scale_rules(*layer.spec.format);
  if (rules.level == nullptr) return false;
  if (layer.levels.empty()) return true;
  for (std::uint32_t code = 0; code < 16; ++code) {
    if (codec::bits(float_at(layer.levels, code)) != codec::bits(rules.level(code))) return true;
  }
  return false;
}

}  // namespace halftone::ops
