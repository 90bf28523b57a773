#pragma once

#include <cstdint>
#include <vector>

namespace halftone::learn {

/// The mean of 3072 vectors of `columns` independent normal numbers: itself normal, of variance 1 / 3072.  What a weight
/// loses on it says nothing of what it loses on inputs of another mean.
[[nodiscard]] std::vector<float> synthetic_mean(std::uint64_t columns, std::uint64_t seed);

}  // namespace halftone::learn
