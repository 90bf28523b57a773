#include "plan/rules_json.hpp"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/strict_json.hpp"
#include "base/text.hpp"
#include "formats/float_types.hpp"

namespace halftone {
namespace plan {
namespace {

using nlohmann::json;

template <class Value>
Value lookup(const std::map<std::string, Value>& known, const std::string& word, const std::string& what, const std::string& where) {
  const auto found = known.find(word);
  if (found != known.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [name, value] : known) names.push_back(name);
  fail(ErrorKind::bad_rules, "{}: unknown {} '{}'{}", where, what, word, base::did_you_mean(word, names));
}

Dtype target_named(const std::string& word, const std::string& where) {
  if (const auto dtype = formats::target_from_word(word)) return *dtype;
  fail(ErrorKind::bad_rules, "{}: unknown dtype '{}'{}", where, word, base::did_you_mean(word, formats::target_words()));
}

Match match_from_json(const json& match, const std::string& where) {
  static const std::map<std::string, Match::Kind> kinds = {
      {"contains", Match::Kind::contains}, {"glob", Match::Kind::glob}, {"regex", Match::Kind::regex}};
  if (!match.is_object() || match.size() != 1) {
    fail(ErrorKind::bad_rules, "{}: 'match' must be an object with one of contains, glob, regex", where);
  }
  const auto only = match.begin();
  const std::string& word = only.key();
  const json& pattern = only.value();
  const Match::Kind kind = lookup(kinds, word, "match", where);
  if (!pattern.is_string() || pattern.get_ref<const std::string&>().empty()) {
    fail(ErrorKind::bad_rules, "{}: the pattern of '{}' must be a text that is not empty", where, word);
  }
  try {
    return {kind, pattern.get<std::string>()};
  } catch (const Error& error) {
    fail(error.kind(), "{}: {}", where, error.what());
  }
}

/// The value of `key`; 0 where it is absent.
std::uint32_t size_from_json(const json& rule, const char* key, const std::string& where) {
  const auto value = rule.find(key);
  if (value == rule.end()) return 0;
  if (!value->is_number_unsigned() || value->get<std::uint64_t>() == 0 || value->get<std::uint64_t>() > 65536) {
    fail(ErrorKind::bad_rules, "{}: '{}' must be a whole number from 1 to 65536", where, key);
  }
  return value->get<std::uint32_t>();
}

/// Refuses keys that the action would ignore.
void check_relevance(const json& rule, Action action, const std::string& where) {
  const auto reject = [&](const char* key, Action needs) {
    if (rule.contains(key) && action != needs) {
      fail(ErrorKind::bad_rules, "{}: '{}' has no effect on the action {}", where, key, name_of(action));
    }
  };
  reject("format", Action::quantize);
  reject("block_size", Action::quantize);
  reject("rotation_group", Action::quantize);
  reject("group_size", Action::quantize);
  reject("dtype", Action::cast);
}

Rule rule_from_json(const json& rule, const std::string& where) {
  static const std::map<std::string, Action> actions = {
      {"keep", Action::keep}, {"drop", Action::drop}, {"cast", Action::cast}, {"quantize", Action::quantize}};
  check_keys(rule, {"match", "action", "format", "block_size", "rotation_group", "group_size", "dtype", "why"}, where);
  if (!rule.contains("match")) fail(ErrorKind::bad_rules, "{}: 'match' is missing", where);
  const std::string action_word = text_of(rule, "action", where);
  if (action_word.empty()) fail(ErrorKind::bad_rules, "{}: 'action' is missing", where);
  Rule result{.match = match_from_json(rule["match"], where), .origin = where};
  result.action = lookup(actions, action_word, "action", where);
  check_relevance(rule, result.action, where);
  result.why = text_of(rule, "why", where);
  result.block_size = size_from_json(rule, "block_size", where);
  result.rotation_group = size_from_json(rule, "rotation_group", where);
  result.group_size = size_from_json(rule, "group_size", where);
  if (const std::string format = text_of(rule, "format", where); !format.empty()) {
    try {
      result.format = &format_named(format);
    } catch (const Error& error) {
      fail(error.kind() == ErrorKind::usage ? ErrorKind::bad_rules : error.kind(), "{}: {}", where, error.what());
    }
  }
  const std::string dtype = text_of(rule, "dtype", where);
  if (result.action == Action::cast && dtype.empty()) fail(ErrorKind::bad_rules, "{}: the action cast needs a 'dtype'", where);
  if (!dtype.empty()) result.dtype = target_named(dtype, where);
  return result;
}

}  // namespace

json parse_document(std::string_view text, const std::string& origin) { return base::parse_json<json>(text, ErrorKind::bad_rules, origin); }

void check_keys(const json& object, const std::vector<std::string>& known, const std::string& where) {
  if (!object.is_object()) fail(ErrorKind::bad_rules, "{}: not a JSON object", where);
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      fail(ErrorKind::bad_rules, "{}: unknown key '{}'{}", where, key, base::did_you_mean(key, known));
    }
  }
}

std::string text_of(const json& object, const char* key, const std::string& where) {
  const auto value = object.find(key);
  if (value == object.end()) return {};
  if (!value->is_string()) fail(ErrorKind::bad_rules, "{}: '{}' must be a text", where, key);
  return value->get<std::string>();
}

std::vector<Rule> rules_from_json(const json& rules, const std::string& origin) {
  if (!rules.is_array()) fail(ErrorKind::bad_rules, "{}: 'rules' must be an array", origin);
  std::vector<Rule> result;
  for (const json& rule : rules) result.push_back(rule_from_json(rule, fmt::format("{} rule {}", origin, result.size() + 1)));
  return result;
}

}  // namespace plan

std::vector<Rule> parse_rules(std::string_view text, const std::string& origin) {
  const nlohmann::json document = plan::parse_document(text, origin);
  plan::check_keys(document, {"rules"}, origin);
  if (!document.contains("rules")) fail(ErrorKind::bad_rules, "{}: 'rules' is missing", origin);
  return plan::rules_from_json(document["rules"], origin);
}

}  // namespace halftone
