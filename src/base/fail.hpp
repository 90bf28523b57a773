#pragma once

#include <utility>

#include <fmt/format.h>

#include <halftone/error.hpp>

namespace halftone::base {

/// Throws an Error of `kind` with the formatted sentence: what, which tensor or file, expected, found.
template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> sentence, Args&&... args) {
  throw Error(kind, fmt::format(sentence, std::forward<Args>(args)...));
}

}  // namespace halftone::base

namespace halftone {
using base::fail;
}  // namespace halftone
