#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include <halftone/allocate.hpp>

#include "output.hpp"

namespace halftone::tool {

/// What is said of an allocation besides the allocation.
struct AllocationFacts {
  std::string input;
  std::filesystem::path rules;
  std::string conversion;  ///< the command that uses the rules
  bool has_statistics = false;
  std::optional<std::uint64_t> target_bytes;
  std::optional<double> min_sqnr_db;
  std::optional<double> max_output_error;
  Balance balance{};
};

[[nodiscard]] std::string allocation_text(const Allocation& allocation, const AllocationFacts& facts);
[[nodiscard]] nlohmann::ordered_json allocation_json(const Allocation& allocation, const AllocationFacts& facts);

}  // namespace halftone::tool
