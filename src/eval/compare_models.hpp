#pragma once

#include <halftone/compare.hpp>

#include "eval/float_reader.hpp"

namespace halftone::eval {

/// compare_models() on models that are open already.
[[nodiscard]] Comparison compare_models(const FloatModel& original, const FloatModel& other, unsigned threads);

}  // namespace halftone::eval
