#include <halftone/error.hpp>

#include <array>
#include <set>
#include <type_traits>

#include <gmock/gmock.h>

#include "base/fail.hpp"
#include "unit/fails_with.hpp"

namespace halftone {
namespace {

constexpr std::array kKinds = {
#define HALFTONE_ERROR(kind, exit_code, meaning) ErrorKind::kind,
#include <halftone/error.def>
#undef HALFTONE_ERROR
};

// An exit status is one byte, and scripts tell the classes of errors apart by these numbers.
const std::set<ExitCode> kErrorCodes = {ExitCode::difference,  ExitCode::usage,  ExitCode::bad_input, ExitCode::io,
                                        ExitCode::unsupported, ExitCode::device, ExitCode::internal,  ExitCode::interrupted};

TEST(ErrorTable, Every_kind_has_a_meaning) {
  for (const ErrorKind kind : kKinds) {
    const std::string_view meaning = meaning_of(kind);
    EXPECT_GE(meaning.size(), 10U) << name_of(kind);
    EXPECT_NE(meaning.back(), '.') << name_of(kind) << ": the manual adds the full stop";
  }
}

TEST(ErrorTable, Every_kind_has_an_exit_code_of_an_error) {
  for (const ErrorKind kind : kKinds) EXPECT_TRUE(kErrorCodes.count(exit_code_of(kind)) == 1) << name_of(kind);
}

TEST(ErrorTable, Names_and_meanings_are_unique) {
  std::set<std::string_view> names;
  std::set<std::string_view> meanings;
  for (const ErrorKind kind : kKinds) {
    EXPECT_TRUE(names.insert(name_of(kind)).second) << name_of(kind);
    EXPECT_TRUE(meanings.insert(meaning_of(kind)).second) << meaning_of(kind);
  }
}

TEST(ErrorTable, Exit_codes_are_the_documented_numbers) {
  const auto status = [](ErrorKind kind) { return static_cast<int>(exit_code_of(kind)); };
  EXPECT_EQ(status(ErrorKind::verification), 1);
  EXPECT_EQ(status(ErrorKind::usage), 2);
  EXPECT_EQ(status(ErrorKind::header_not_json), 3);
  EXPECT_EQ(status(ErrorKind::not_finite), 3);
  EXPECT_EQ(status(ErrorKind::no_space), 4);
  EXPECT_EQ(status(ErrorKind::unsupported), 5);
  EXPECT_EQ(status(ErrorKind::device), 6);
  EXPECT_EQ(status(ErrorKind::internal), 70);
  EXPECT_EQ(status(ErrorKind::interrupted), 130);
}

TEST(Fail, Sentence_and_kind_reach_the_catcher) {
  const auto work = [] { fail(ErrorKind::tensor_size, "the tensor '{}' has {} bytes", "a.weight", 7); };
  EXPECT_THAT(work, test::fails_with(ErrorKind::tensor_size, "the tensor 'a.weight' has 7 bytes"));
}

TEST(Error, Copies_without_throwing) { static_assert(std::is_nothrow_copy_constructible_v<Error>); }

}  // namespace
}  // namespace halftone
