#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/format.hpp>

namespace re2 {
class RE2;
}

namespace halftone {

/// What happens to a tensor.
enum class Action : std::uint8_t { keep, drop, cast, quantize };

/// "keep", "drop", "cast", "quantize".
[[nodiscard]] std::string_view name_of(Action action) noexcept;

/// A test on a full tensor name.
class Match {
 public:
  enum class Kind : std::uint8_t {
    contains,  ///< case-sensitive substring
    glob,      ///< the whole name, `*` for any run of characters
    regex,     ///< RE2, searched anywhere in the name
  };
  /// Throws bad_rules for an invalid regular expression.
  Match(Kind kind, std::string pattern);

  [[nodiscard]] bool operator()(std::string_view name) const;
  /// "contains 'img_in'".
  [[nodiscard]] std::string text() const;

 private:
  Kind kind_;
  std::string pattern_;
  std::shared_ptr<const re2::RE2> regex_;
};

/// One line of a rules file or preset: the first rule that matches a tensor decides.
struct Rule {
  Match match;
  Action action = Action::keep;
  const FormatDescriptor* format = nullptr;  ///< quantize: null means the conversion's own format
  std::uint32_t block_size = 0;              ///< quantize: 0 means the format's default
  std::uint32_t rotation_group = 0;          ///< quantize: 0 means the format's default
  std::uint32_t group_size = 0;              ///< quantize: 0 means the format's default
  Dtype dtype = Dtype::BF16;                 ///< cast
  std::string why;
  std::string origin;  ///< "rules.json rule 3", "preset flux2"
};

/// Parses `{"rules": [{"match": {"contains" | "glob" | "regex": text}, "action": …, "format": …,
/// "block_size": …, "rotation_group": …, "group_size": …, "dtype": …, "why": text}]}`.  `origin` names the source in messages.
/// Throws bad_rules with the number of the rule and, for unknown words, the nearest known one.
[[nodiscard]] std::vector<Rule> parse_rules(std::string_view json, const std::string& origin);

}  // namespace halftone
