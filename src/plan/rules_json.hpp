#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <halftone/rule.hpp>

namespace halftone::plan {

/// Parses `text` as JSON without duplicate keys.  Throws bad_rules naming `origin`.
[[nodiscard]] nlohmann::json parse_document(std::string_view text, const std::string& origin);

/// Throws bad_rules where `object` is no object or has a key outside `known`.
void check_keys(const nlohmann::json& object, const std::vector<std::string>& known, const std::string& where);

/// The text of `object[key]`, or "" where it is absent.  Throws bad_rules where it is no text.
[[nodiscard]] std::string text_of(const nlohmann::json& object, const char* key, const std::string& where);

/// The rules of a JSON array.
[[nodiscard]] std::vector<Rule> rules_from_json(const nlohmann::json& rules, const std::string& origin);

}  // namespace halftone::plan
