#pragma once

#include <halftone/eval.hpp>

#include "allocate/layer_moments.hpp"

namespace halftone::allocate {

/// Sets EvaluatedLayer::expected of the layers whose inputs the statistics know, and their sum.  Throws bad_statistics
/// where they know none.
void expect_outputs(const eval::FloatModel& original, const eval::FloatModel& other, const StatisticsFile& statistics,
                    const Backend& backend, const RunControl& control, unsigned threads, Evaluation& evaluation);

}  // namespace halftone::allocate
