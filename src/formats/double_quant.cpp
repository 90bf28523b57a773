#include "formats/double_quant.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

namespace halftone::formats {
namespace {

/// Appends the middles of `n` equal parts of [0.1, 1], times `decade`, and their negatives.
void append_decade(std::vector<float>& levels, int n, float decade) {
  const auto boundary = [n](int i) { return static_cast<float>(0.1 + 0.9 * i / n); };
  for (int i = 0; i < n; ++i) {
    const float level = decade * ((boundary(i) + boundary(i + 1)) / 2.0F);
    levels.push_back(level);
    levels.push_back(-level);
  }
}

std::vector<float> make_levels() {
  std::vector<float> levels = {0.0F, 1.0F};
  constexpr int decades = 7;
  for (int i = 0; i < decades; ++i) append_decade(levels, 1 << i, static_cast<float>(std::pow(10.0, i + 1 - decades)));
  std::sort(levels.begin(), levels.end());
  return levels;
}

std::uint8_t nearest(const std::vector<float>& levels, float value) {
  const auto above = std::lower_bound(levels.begin(), levels.end(), value);
  if (above == levels.begin()) return 0;
  const auto code = static_cast<std::uint8_t>(above - levels.begin() - 1);
  if (above == levels.end()) return code;
  return *above - value < value - *(above - 1) ? static_cast<std::uint8_t>(code + 1) : code;
}

}  // namespace

const std::vector<float>& dynamic_levels() {
  static const std::vector<float> levels = make_levels();
  return levels;
}

NestedScales nest(std::span<const float> scales) {
  NestedScales nested;
  double sum = 0;
  for (const float scale : scales) sum += static_cast<double>(scale);
  if (!scales.empty()) nested.offset = static_cast<float>(sum / static_cast<double>(scales.size()));
  nested.codes.reserve(scales.size());
  for (std::size_t first = 0; first < scales.size(); first += kNestedBlock) {
    const auto block = scales.subspan(first, std::min<std::size_t>(kNestedBlock, scales.size() - first));
    float magnitude = 0;
    for (const float scale : block) magnitude = std::max(magnitude, std::fabs(scale - nested.offset));
    nested.magnitudes.push_back(magnitude);
    for (const float scale : block) {
      nested.codes.push_back(nearest(dynamic_levels(), magnitude > 0.0F ? (scale - nested.offset) / magnitude : 0.0F));
    }
  }
  return nested;
}

std::vector<float> unnested(const StoredNest& nest, std::uint64_t first, std::uint64_t count) {
  const auto float_at = [](std::span<const std::byte> floats, std::uint64_t i) {
    float value = 0;
    std::memcpy(&value, floats.data() + i * sizeof value, sizeof value);
    return value;
  };
  std::vector<float> scales(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    const float level = float_at(nest.levels, std::to_integer<std::size_t>(nest.codes[first + i]));
    scales[i] = nested_scale(level, float_at(nest.magnitudes, (first + i) / kNestedBlock), nest.offset);
  }
  return scales;
}

std::string offset_text(float offset) { return fmt::format("{:<{}}", fmt::format("{}", static_cast<double>(offset)), kOffsetWidth); }

}  // namespace halftone::formats
