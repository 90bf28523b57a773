#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace halftone {

/// What the program's exit status says; stable, scripts rely on it.
enum class ExitCode : int {
  ok = 0,
  difference = 1,  ///< compare and verify: a difference was found
  usage = 2,
  bad_input = 3,
  io = 4,
  unsupported = 5,
  device = 6,
  internal = 70,
  interrupted = 130,
};

/// Every reason for which Halftone refuses to go on; the table is error.def.
enum class ErrorKind {
#define HALFTONE_ERROR(kind, exit_code, meaning) kind,
#include <halftone/error.def>
#undef HALFTONE_ERROR
};

/// The name of `kind` as it stands in error.def.
[[nodiscard]] std::string_view name_of(ErrorKind kind) noexcept;

/// One sentence that explains `kind` to a user.
[[nodiscard]] std::string_view meaning_of(ErrorKind kind) noexcept;

/// The exit status that belongs to `kind`.
[[nodiscard]] ExitCode exit_code_of(ErrorKind kind) noexcept;

/// The only exception that Halftone throws on purpose.  `what()` is one clear sentence that
/// says what is wrong, with which tensor or file, what was expected and what was found.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& sentence) : std::runtime_error(sentence), kind_(kind) {}
  [[nodiscard]] ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace halftone
