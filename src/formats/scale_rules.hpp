#pragma once

#include <cstdint>

#include <halftone/format.hpp>

#include "formats/format_traits.hpp"

namespace halftone::formats {

/// The scale of a group: the operand of encode(), and the bits that are stored, in the low bytes.
struct AnyScale {
  float encode;
  std::uint32_t stored;
};

/// The maths of a format as functions, for code that is not compiled per format.
struct ScaleRules {
  /// The scale of a group, as formats::group_scale().
  AnyScale (*group)(float amax, float tensor);
  /// How many scales a search may choose from, and the i-th of them; 0 is the plain one.
  int candidates;
  AnyScale (*candidate)(float amax, float tensor, int i);
  /// The stored scale of the whole weight; 1 where the format has none.
  float (*tensor)(float amax);
  /// How many scales of the whole weight a search may choose from, and what its largest magnitude is multiplied with
  /// for the i-th of them; 0 is the plain one.
  int tensor_candidates;
  float (*tensor_factor)(int i);
  /// What decode() takes for stored bits, as formats::decode_operand().
  float (*operand)(std::uint32_t stored, float tensor);
  /// The scale of a row whose largest fitted value is `largest`; null where rows have none.
  float (*row)(float largest);
  /// The values of the codes, and the value of a level of another table; null where a layer cannot bring one.
  float (*level)(std::uint32_t code);
  float (*decode_level)(float level, float operand);
  /// The code of a weight, and the value of a code; the operands are AnyScale::encode and that of operand().
  std::uint32_t (*encode)(float weight, float operand);
  float (*decode)(std::uint8_t code, float operand);
  Packing packing;
};

/// The scale rules of `format`.
[[nodiscard]] const ScaleRules& scale_rules(const FormatDescriptor& format) noexcept;

/// The value of Role::largest_scale for the largest of the stored scales; 1 where all are zero.
[[nodiscard]] float largest_scale(const FormatDescriptor& format, std::uint32_t stored) noexcept;

}  // namespace halftone::formats
