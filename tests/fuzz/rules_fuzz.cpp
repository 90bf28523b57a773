// A rules file.  Whatever is accepted must agree with a generic JSON parser, and every rule must be
// applicable to any name, valid UTF-8 or not.
#include <array>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <halftone/rule.hpp>

#include "fuzz_target.hpp"

namespace halftone::fuzz {
namespace {

using nlohmann::json;

const std::array<std::string, 6> kNames = {
    "",
    "model.diffusion_model.double_blocks.0.img_attn.qkv.weight",
    "lm_head.weight",
    "na\xC3\xAFve.weight",             // U+00EF in two bytes
    "\xFF\xC0.weight",                 // no UTF-8
    std::string(300, 'a') + ".weight"  // long enough for a careless matcher to be slow
};

/// glob_match again, by the definition: prefixes of the pattern against prefixes of the text.
bool matches_glob(const std::string& pattern, const std::string& text) {
  std::vector<bool> row(text.size() + 1, false);
  row[0] = true;
  for (const char p : pattern) {
    std::vector<bool> next(text.size() + 1, false);
    next[0] = row[0] && p == '*';
    for (std::size_t t = 0; t < text.size(); ++t) {
      next[t + 1] = p == '*' ? row[t + 1] || next[t] : row[t] && p == text[t];
    }
    row = std::move(next);
  }
  return row.back();
}

void check_match(const Match& match, const std::string& kind, const std::string& pattern) {
  require(match.text() == kind + " '" + pattern + "'", "a match describes itself wrongly");
  for (const std::string& name : kNames) {
    const bool matched = match(name);
    if (kind == "contains") require(matched == (name.find(pattern) != std::string::npos), "contains matches wrongly");
    if (kind == "glob") require(matched == matches_glob(pattern, name), "glob matches wrongly");
  }
  if (kind != "regex") require(match(pattern), "a pattern does not match itself");
}

void check_rule(const Rule& rule, const json& text, std::size_t number) {
  const json& match = text.at("match");
  check_match(rule.match, match.begin().key(), match.begin().value().get<std::string>());
  require(text.at("action") == name_of(rule.action), "an action differs from the text");
  require(rule.why == text.value("why", ""), "a reason differs from the text");
  require(rule.origin == "rules.json rule " + std::to_string(number), "a rule says wrongly where it stands");
  require(rule.block_size == text.value("block_size", 0U) && rule.block_size <= 65536, "a block size differs from the text");
  const std::string format = text.value("format", "");
  require(rule.format == (format.empty() ? nullptr : find_format(format)), "a format differs from the text");
  require(rule.action == Action::quantize || (rule.format == nullptr && rule.block_size == 0), "a setting without effect is accepted");
}

}  // namespace
}  // namespace halftone::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  using namespace halftone;
  const std::string_view text = fuzz::text_of(data, n_bytes);
  const auto rules = fuzz::attempt({ErrorKind::bad_rules}, [&] { return parse_rules(text, "rules.json"); }).value;
  if (!rules) return 0;
  fuzz::accepted = true;
  fuzz::require(text.find('\0') == std::string_view::npos, "a NUL is accepted");
  const auto document = nlohmann::json::parse(text, nullptr, false);
  const auto& list = document.at("rules");
  fuzz::require(list.size() == rules->size(), "rules are lost or invented");
  for (std::size_t i = 0; i < rules->size(); ++i) fuzz::check_rule((*rules)[i], list[i], i + 1);
  return 0;
}
