#pragma once

#include <cmath>
#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace halftone::tool {

/// Refuses what is below zero, infinite or NaN; the type of the option refuses the rest.
[[nodiscard]] inline CLI::Validator not_negative() {
  return {[](const std::string& text) {
            char* end = nullptr;
            const double value = std::strtod(text.c_str(), &end);
            const bool is_number = end != text.c_str() && *end == '\0';
            const bool fits = std::isfinite(value) && !std::signbit(value);
            return is_number && !fits ? fmt::format("takes a finite number of at least 0, not {}", text) : std::string();
          },
          ""};
}

}  // namespace halftone::tool
