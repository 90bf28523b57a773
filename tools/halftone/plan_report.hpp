#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include <halftone/plan.hpp>

namespace halftone::tool {

/// The facts around a plan that its JSON also gives.
struct PlanFacts {
  std::filesystem::path input;
  std::filesystem::path output;
  std::string device;
  std::uint64_t memory_bytes = 0;
  std::uint64_t device_memory_bytes = 0;  ///< 0: no limit was given
};

/// What stands for an output: its file, or the index of its shards.
[[nodiscard]] std::filesystem::path output_of(const Plan& plan, const std::filesystem::path& output);

/// What `convert --json` and `plan --json` print.
[[nodiscard]] nlohmann::ordered_json plan_json(const Plan& plan, const PlanFacts& facts);

/// What a person wants to know of a plan; with `explain`, every tensor with its rule and reason.
[[nodiscard]] std::string plan_text(const Plan& plan, const PlanFacts& facts, bool explain);

}  // namespace halftone::tool
