#pragma once

#include <string>

#include <halftone/learn.hpp>

namespace halftone::plan {

/// What `statistics` have of the layer called `layer`, whose weight has so many columns.
/// Throws bad_statistics for tensors that do not fit the weight.
[[nodiscard]] LayerStatistics find_statistics(const Statistics& statistics, const std::string& layer, std::uint64_t columns);

}  // namespace halftone::plan
