#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <halftone/rule.hpp>

namespace halftone::plan {

/// The regular expressions of an option.  Throws bad_rules, naming the option.
[[nodiscard]] std::vector<Match> compile_patterns(const std::vector<std::string>& patterns, const char* option);

/// The patterns of an option, each of which must meet something.
class Patterns {
 public:
  /// Throws usage for an empty pattern, bad_rules for one that is no regular expression.
  Patterns(const std::vector<std::string>& patterns, const char* option);

  [[nodiscard]] bool empty() const noexcept { return matches_.empty(); }
  /// Whether any of them is found in `name`; notes which.
  [[nodiscard]] bool match(std::string_view name);
  /// Throws unused_rule where one of them met none of the names, which are those of `what`.
  void require_used(const char* what) const;

 private:
  std::vector<Match> matches_;
  std::vector<bool> used_;
  const char* option_;
};

}  // namespace halftone::plan
