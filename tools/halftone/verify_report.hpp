#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include <halftone/verify.hpp>

namespace halftone::tool {

/// What `verify --json` prints.
[[nodiscard]] nlohmann::ordered_json verification_json(const Verification& verification);

/// What a person wants to know of a verification of `file`: every problem, and notes of many layers together.
[[nodiscard]] std::string verification_text(const Verification& verification, const std::string& file);

}  // namespace halftone::tool
