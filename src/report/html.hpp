#pragma once

#include <string>
#include <string_view>

namespace halftone::report {

/// `text` as characters of a page, in elements and in attributes with quotes.  Control characters, and those that turn the
/// direction of writing, are spelt out: a name in a file must not change what a page says.
[[nodiscard]] std::string escape(std::string_view text);

/// `name` as code that breaks after dots, slashes and underscores, or anywhere where that is not enough.
[[nodiscard]] std::string code(std::string_view name);

/// A whole page: it loads nothing, runs nothing, and is readable on screens light and dark and on paper.  `body` is HTML.
[[nodiscard]] std::string page(std::string_view title, std::string_view body);

/// "31.5", "exact" where there is no error, "–" where it is not known.
[[nodiscard]] std::string decibels(double value);
/// The same with " dB" behind a number.
[[nodiscard]] std::string with_unit(double db);
/// `value` with so many significant digits, "–" where it is not known.
[[nodiscard]] std::string figure_of(double value, int digits);
/// "2.65 %".
[[nodiscard]] std::string percent(double share);

}  // namespace halftone::report
