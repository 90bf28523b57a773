#pragma once

#include <optional>
#include <string>

#include <halftone/learn.hpp>

namespace halftone::plan {

/// Throws bad_statistics for a file whose metadata say that it is something else, or statistics of another version.
/// Returns what the user should know of one whose metadata do not say what it is; else nothing.
[[nodiscard]] std::optional<std::string> check_kind(const Statistics& statistics);

/// What `statistics` have of the layer called `layer`, whose weight has so many columns.
/// Throws bad_statistics for tensors that do not fit the weight.
[[nodiscard]] LayerStatistics find_statistics(const Statistics& statistics, const std::string& layer, std::uint64_t columns);

}  // namespace halftone::plan
