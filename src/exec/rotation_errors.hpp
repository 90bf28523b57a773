#pragma once

#include <vector>

#include <halftone/plan.hpp>

#include "exec/work.hpp"

namespace halftone::exec {

/// The mean square of the input of each column; empty where the statistics have none.
/// Throws bad_statistics for values that are no mean squares.
[[nodiscard]] std::vector<float> mean_squares(const LayerStatistics& statistics, const Context& context);

/// What the weight of `job` loses when it is rounded to nearest with its spec, which rotates, and with `plain`; neither
/// has a scale of the whole weight.  The sums of rows are added in their order: bands, threads and devices change
/// nothing.  `weights`: of the squares in each column; empty for 1.  Adds the bytes of the weight to `control`.
/// Throws not_finite.
[[nodiscard]] RotationErrors rotation_errors(const Job& job, const QuantSpec& plain, const std::vector<float>& weights,
                                             const Context& context, unsigned threads, RunControl& control);

/// Bytes of memory that each thread of rotation_errors() takes.
[[nodiscard]] std::uint64_t rotation_errors_memory(const Job& job);

}  // namespace halftone::exec
