#pragma once

#include <optional>
#include <vector>

#include <halftone/eval.hpp>

#include "report/svg.hpp"

namespace halftone::report {

/// How often codes occur, in the order of what they stand for; codes that are no numbers are left out.
[[nodiscard]] std::vector<double> codes_by_value(const CodeHistogram& codes);

/// The codes of a layer as a figure; nothing for a layer without.
[[nodiscard]] std::optional<Histogram> code_plot(const CodeHistogram& codes);

/// The scales of a layer as a figure; nothing for a layer with fewer than two.
[[nodiscard]] std::optional<Histogram> scale_plot(const ScaleHistogram& scales);

}  // namespace halftone::report
