#pragma once

#include <ostream>
#include <string>

#include <gmock/gmock.h>

#include <halftone/error.hpp>

namespace halftone {

/// How GoogleTest prints a kind.
inline void PrintTo(ErrorKind kind, std::ostream* out) { *out << name_of(kind); }

namespace test {

/// Matches a callable that throws an Error of `kind` whose sentence holds every one of `words`.
template <class... Words>
auto fails_with(ErrorKind kind, const Words&... words) {
  using testing::AllOf;
  using testing::HasSubstr;
  using testing::Property;
  return testing::Throws<Error>(AllOf(Property("kind", &Error::kind, kind),
                                      Property("what", &Error::what, AllOf(testing::NotNull(), HasSubstr(std::string(words))...))));
}

}  // namespace test
}  // namespace halftone
