#include <halftone/error.hpp>

#include <array>

namespace halftone {
namespace {

struct ErrorFacts {
  std::string_view name;
  ExitCode exit_code;
  std::string_view meaning;
};

constexpr std::array kFacts = {
#define HALFTONE_ERROR(kind, exit_code, meaning) ErrorFacts{#kind, ExitCode::exit_code, meaning},
#include <halftone/error.def>
#undef HALFTONE_ERROR
};

const ErrorFacts& facts(ErrorKind kind) noexcept { return kFacts[static_cast<std::size_t>(kind)]; }

}  // namespace

std::string_view name_of(ErrorKind kind) noexcept { return facts(kind).name; }
std::string_view meaning_of(ErrorKind kind) noexcept { return facts(kind).meaning; }
ExitCode exit_code_of(ErrorKind kind) noexcept { return facts(kind).exit_code; }

}  // namespace halftone
