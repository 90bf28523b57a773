#pragma once

#include <string>
#include <vector>

#include <halftone/format.hpp>

namespace halftone::formats {

/// A scale of one byte and its value.
struct ScaleChoice {
  float value;
  std::uint8_t stored;
};

/// The values of the scales of one byte of `format` that are greater than 0, ascending.
[[nodiscard]] std::vector<ScaleChoice> scale_choices(const FormatDescriptor& format, float tensor_scale);

/// Why the scales of a weight cannot be moved by small steps; empty where they can.
[[nodiscard]] std::string why_scales_stay(const QuantSpec& spec);

}  // namespace halftone::formats
