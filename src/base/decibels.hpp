#pragma once

#include <cmath>
#include <string>

#include <fmt/format.h>

namespace halftone::base {

/// A ratio of signal to noise as a number for tables: "31.50", "exact" where it is infinite, "-" where there is none.
[[nodiscard]] inline std::string decibel_figure(double db, int digits = 2) {
  if (std::isfinite(db)) return fmt::format("{:.{}f}", db, digits);
  return std::isinf(db) && db > 0 ? "exact" : "-";
}

/// The same for sentences: "31.50 dB", "no error", "an unknown error".
[[nodiscard]] inline std::string decibels(double db, int digits = 2) {
  if (std::isfinite(db)) return fmt::format("{:.{}f} dB", db, digits);
  return std::isinf(db) && db > 0 ? "no error" : "an unknown error";
}

/// `value` with so many digits behind the point and an exponent, "-" where it is none.
[[nodiscard]] inline std::string scientific(double value, int digits) {
  return std::isfinite(value) ? fmt::format("{:.{}e}", value, digits) : "-";
}

}  // namespace halftone::base
