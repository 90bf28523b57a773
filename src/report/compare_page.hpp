#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <halftone/compare.hpp>

namespace halftone::report {

/// What the files of a comparison do to one tensor of the original.
struct ComparisonRow {
  std::string name;
  std::vector<const TensorComparison*> cells;  ///< of each file; null where it has the tensor as the original does, or not at all
  std::vector<bool> is_missing;                ///< of each file
};

/// The tensors that some of the files have otherwise, by name.  `files` must outlive what is returned.
[[nodiscard]] std::vector<ComparisonRow> comparison_rows(const std::vector<Comparison>& files);

/// Files side by side as a page, the tensors that lost most first.  `bytes`: of the original's files, and then of each of `files`.
[[nodiscard]] std::string compare_page(const std::string& original, const std::vector<Comparison>& files,
                                       const std::vector<std::uint64_t>& bytes);

}  // namespace halftone::report
