#pragma once

#include <string>
#include <vector>

namespace halftone::report {

/// Bars side by side, with what the first and the last of them stand for.
struct Histogram {
  std::vector<double> heights;
  std::string caption;  ///< of the figure, as text
  std::string first;
  std::string last;
};

/// A figure with bars and labels.
[[nodiscard]] std::string figure(const Histogram& histogram);

/// The bars alone, small enough for a row of a table.
[[nodiscard]] std::string sparkline(const std::vector<double>& heights);

/// A bar of `share` of the width, 0 to 1; `kind` is the class of its colour: mark, other or error.
[[nodiscard]] std::string bar(double share, const char* kind);

/// Two bars, one over the other: of the original, and of what became of it.
[[nodiscard]] std::string two_bars(double original, double now);

/// `heights` with neighbours added up until there are at most `most`.
[[nodiscard]] std::vector<double> merged(const std::vector<double>& heights, std::size_t most);

}  // namespace halftone::report
