#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string_view>

#include <halftone/error.hpp>

/// What libFuzzer, or the replay program, calls with each input.  Returns 0.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes);

namespace halftone::fuzz {

/// Set by a target that takes its input for valid, so that a replay can hold it against the file's name.
inline bool accepted = false;

/// Ends the program where `condition` does not hold, which a fuzzer takes for a crash.
inline void require(bool condition, std::string_view broken) {
  if (condition) return;
  std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(broken.size()), broken.data());
  std::abort();
}

/// What a call gave: a value, or the kind of the Error that it threw.
template <class Value>
struct Outcome {
  std::optional<Value> value;
  ErrorKind kind{};  ///< meaningless where there is a value
};

/// Calls `work`, which may throw an Error of a kind in `allowed`.  Every other exception is a defect:
/// another kind breaks a promise, and nothing but Error may leave the library.
template <class Work>
auto attempt(std::initializer_list<ErrorKind> allowed, Work work) -> Outcome<decltype(work())> {
  try {
    return {work()};
  } catch (const Error& error) {
    const std::string_view sentence = error.what();
    require(!sentence.empty(), "an error says nothing");
    require(std::find(allowed.begin(), allowed.end(), error.kind()) != allowed.end(), sentence);
    return {std::nullopt, error.kind()};
  }
}

/// The kind of the Error that `work` must throw.
template <class Work>
ErrorKind kind_thrown_by(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind();
  }
  require(false, "no error where one is due");
  std::abort();
}

[[nodiscard]] inline std::string_view text_of(const std::uint8_t* data, std::size_t n_bytes) {
  return {reinterpret_cast<const char*>(data), n_bytes};
}

}  // namespace halftone::fuzz
