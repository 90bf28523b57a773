#pragma once

#include <vector>

namespace halftone::learn {

/// Seconds until the last of some layers is done which take `seconds`: whoever is free takes the longest of those that are
/// left.  `free_at`: when each begins, at least one.
[[nodiscard]] double longest_first(std::vector<double> seconds, std::vector<double> free_at);

}  // namespace halftone::learn
