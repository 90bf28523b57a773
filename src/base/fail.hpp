#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>

#include <halftone/error.hpp>

namespace halftone::base {

/// `text` with every NUL, which would end what() early, spelt out.
[[nodiscard]] inline std::string without_nul(std::string text) {
  for (std::size_t at = 0; (at = text.find('\0', at)) != std::string::npos;) text.replace(at, 1, "\\0");
  return text;
}

/// Throws an Error of `kind` with the formatted sentence: what, which tensor or file, expected, found.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> sentence, Args&&... args) {
  throw Error(kind, without_nul(fmt::format(sentence, std::forward<Args>(args)...)));
}

}  // namespace halftone::base

namespace halftone {
using base::fail;
}  // namespace halftone
