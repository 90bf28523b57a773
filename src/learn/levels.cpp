#include "learn/levels.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "formats/scale_rules.hpp"

namespace halftone::learn {
namespace {

/// Bits that order like the numbers they stand for.
std::int64_t ordered(float value) {
  const std::int64_t bits = codec::bits(codec::magnitude(value));
  return std::signbit(value) ? -bits : bits;
}
float from_ordered(std::int64_t order) {
  const float magnitude = codec::from_bits(static_cast<std::uint32_t>(std::abs(order)));
  return order < 0 ? -magnitude : magnitude;
}

/// The value that `weight` is rounded to at a scale of 1.
float rounded(const formats::ScaleRules& rules, float weight) {
  return rules.decode(static_cast<std::uint8_t>(rules.encode(weight, 1.0F)), 1.0F);
}

/// The smallest number above `low` that is rounded to more than it.
float threshold_above(const formats::ScaleRules& rules, float low, float high) {
  std::int64_t below = ordered(low);
  std::int64_t above = ordered(high);
  while (above - below > 1) {
    const std::int64_t middle = below + (above - below) / 2;
    (rounded(rules, from_ordered(middle)) > low ? above : below) = middle;
  }
  return from_ordered(above);
}

struct Level {
  float value;
  std::uint8_t code;
};

/// Whether rounding its value gives the code back.
bool is_written(const formats::ScaleRules& rules, const Level& level) {
  return std::isfinite(level.value) && rules.encode(level.value, 1.0F) == level.code;
}

}  // namespace

Levels levels_of(const FormatDescriptor& format) {
  const formats::ScaleRules& rules = formats::scale_rules(format);
  std::vector<Level> found;
  for (std::uint32_t code = 0; code < 1U << format.storage().code_bits; ++code) {
    const Level level{rules.decode(static_cast<std::uint8_t>(code), 1.0F), static_cast<std::uint8_t>(code)};
    if (is_written(rules, level)) found.push_back(level);
  }
  // Of +0 and -0 the first code, which is +0, stays.
  std::stable_sort(found.begin(), found.end(), [](const Level& a, const Level& b) { return a.value < b.value; });
  const auto same = [](const Level& a, const Level& b) { return a.value == b.value; };
  found.erase(std::unique(found.begin(), found.end(), same), found.end());

  Levels levels{};
  levels.count = static_cast<std::uint32_t>(found.size());
  std::fill(std::begin(levels.thresholds), std::end(levels.thresholds), std::numeric_limits<float>::quiet_NaN());
  for (std::uint32_t i = 0; i < levels.count; ++i) {
    levels.values[i] = found[i].value;
    levels.codes[i] = found[i].code;
    if (i + 1 < levels.count) levels.thresholds[i] = threshold_above(rules, found[i].value, found[i + 1].value);
  }
  return levels;
}

LevelOfCode level_of_code(const FormatDescriptor& format, const Levels& levels) {
  const formats::ScaleRules& rules = formats::scale_rules(format);
  LevelOfCode table{};
  for (std::uint32_t code = 0; code < 1U << format.storage().code_bits; ++code) {
    table.level[code] = static_cast<std::uint8_t>(nearest_level(levels.thresholds, rules.decode(static_cast<std::uint8_t>(code), 1.0F)));
  }
  return table;
}

}  // namespace halftone::learn
