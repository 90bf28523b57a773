#include "plan/patterns.hpp"

#include <algorithm>

#include "base/fail.hpp"

namespace halftone::plan {

std::vector<Match> compile_patterns(const std::vector<std::string>& patterns, const char* option) {
  std::vector<Match> matches;
  for (const std::string& pattern : patterns) {
    try {
      matches.emplace_back(Match::Kind::regex, pattern);
    } catch (const Error& error) {
      fail(error.kind(), "{}: {}", option, error.what());
    }
  }
  return matches;
}

Patterns::Patterns(const std::vector<std::string>& patterns, const char* option)
    : matches_(compile_patterns(patterns, option)), used_(patterns.size()), option_(option) {
  if (std::find(patterns.begin(), patterns.end(), "") == patterns.end()) return;
  fail(ErrorKind::usage, "{} takes a regular expression, not an empty text", option);
}

bool Patterns::match(std::string_view name) {
  bool any = false;
  for (std::size_t i = 0; i < matches_.size(); ++i) {
    if (!matches_[i](name)) continue;
    any = true;
    used_[i] = true;
  }
  return any;
}

void Patterns::require_used(const char* what) const {
  for (std::size_t i = 0; i < matches_.size(); ++i) {
    if (!used_[i]) fail(ErrorKind::unused_rule, "{} {} matches no {}", option_, matches_[i].text(), what);
  }
}

}  // namespace halftone::plan
