#include <halftone/rule.hpp>

#include <array>

#include <re2/re2.h>

#include "base/fail.hpp"
#include "base/text.hpp"

namespace halftone {
namespace {

constexpr std::array<std::string_view, 4> kActionNames = {"keep", "drop", "cast", "quantize"};
constexpr std::array<std::string_view, 3> kKindNames = {"contains", "glob", "regex"};

}  // namespace

std::string_view name_of(Action action) noexcept { return kActionNames[static_cast<std::size_t>(action)]; }

Match::Match(Kind kind, std::string pattern) : kind_(kind), pattern_(std::move(pattern)) {
  if (kind_ != Kind::regex) return;
  RE2::Options options;
  options.set_log_errors(false);
  regex_ = std::make_shared<const RE2>(pattern_, options);
  if (!regex_->ok()) fail(ErrorKind::bad_rules, "'{}' is no regular expression: {}", pattern_, regex_->error());
}

bool Match::operator()(std::string_view name) const {
  switch (kind_) {
    case Kind::contains: return name.find(pattern_) != std::string_view::npos;
    case Kind::glob: return base::glob_match(pattern_, name);
    case Kind::regex: return RE2::PartialMatch(re2::StringPiece(name.data(), name.size()), *regex_);
  }
  return false;
}

std::string Match::text() const { return fmt::format("{} '{}'", kKindNames[static_cast<std::size_t>(kind_)], pattern_); }

}  // namespace halftone
