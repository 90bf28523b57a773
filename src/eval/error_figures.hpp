#pragma once

#include <cstdint>

#include <halftone/compare.hpp>

namespace halftone::eval {

/// Adds `n` pairs of values to `sum`, one after the other: the figures depend on the order of the pairs.
void accumulate(ErrorFigures& sum, const float* original, const float* other, std::uint64_t n);

}  // namespace halftone::eval
