#pragma once

#include <array>

#include <halftone/format.hpp>

#include "formats/scale_rules.hpp"

namespace halftone::formats {

/// The scale rule of a format as a function, for code that is not compiled per format.
using ScaleRule = Scale (*)(float amax);

/// The scale rule of `format`.
[[nodiscard]] ScaleRule scale_rule(const FormatDescriptor& format) noexcept;

}  // namespace halftone::formats
