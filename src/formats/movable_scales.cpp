#include "formats/movable_scales.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "formats/scale_rules.hpp"

namespace halftone::formats {

std::vector<ScaleChoice> scale_choices(const FormatDescriptor& format, float tensor_scale) {
  std::vector<ScaleChoice> choices;
  for (std::uint32_t stored = 0; stored < 256; ++stored) {
    const float value = scale_rules(format).operand(stored, tensor_scale);
    if (std::isfinite(value) && value > 0.0F) choices.push_back({value, static_cast<std::uint8_t>(stored)});
  }
  std::stable_sort(choices.begin(), choices.end(), [](const ScaleChoice& a, const ScaleChoice& b) { return a.value < b.value; });
  return choices;
}

std::string why_scales_stay(const QuantSpec& spec) {
  const FormatDescriptor& format = *spec.format;
  const Storage& storage = format.storage();
  if (storage.grid == ScaleGrid::none) return fmt::format("{} has no scales", format.name());
  if (spec.double_quant) return "scales that are quantized themselves have a mean in common";
  if (storage.row_scales) return fmt::format("{} has scales of rows above those of its groups", format.name());
  if (storage.grid == ScaleGrid::tensor || storage.scale_bytes != 1) return {};
  const std::vector<ScaleChoice> choices = scale_choices(format, 1.0F);
  const std::size_t middle = choices.size() / 2;
  if (choices[middle].value < 2.0F * choices[middle - 1].value) return {};
  return fmt::format("the scales of {} are powers of two, too far apart", format.name());
}

}  // namespace halftone::formats
