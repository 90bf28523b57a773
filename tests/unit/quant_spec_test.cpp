#include "formats/quant_spec.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"

namespace halftone::formats {
namespace {

using test::fails_with;

TEST(CompleteSpec, Default_is_the_first_of_the_format) {
  EXPECT_EQ(complete_spec({.format = &format_named("fp8-block")}, {}).block_size, 64U);
  EXPECT_EQ(complete_spec({.format = &format_named("int8-block")}, {}).block_size, 128U);
  EXPECT_EQ(complete_spec({.format = &format_named("fp8")}, {}).block_size, 0U);
  EXPECT_EQ(complete_spec({.format = &format_named("fp8")}, {}).rotation_group, 0U);
  EXPECT_EQ(complete_spec({.format = &format_named("int8-convrot")}, {}).rotation_group, 256U);
}

TEST(CompleteSpec, Listed_size_is_taken) {
  EXPECT_EQ(complete_spec({.format = &format_named("fp8-block"), .block_size = 128}, {}).block_size, 128U);
}

TEST(CompleteSpec, Other_size_is_refused_with_the_list) {
  EXPECT_THAT(
      [] {
        (void)complete_spec({.format = &format_named("fp8-block"), .block_size = 96}, {"--block-size", ""});
      },
      fails_with(ErrorKind::usage, "--block-size", "fp8-block", "64 or 128", "96"));
}

TEST(CompleteSpec, Size_for_a_format_without_blocks_is_refused) {
  EXPECT_THAT(
      [] {
        (void)complete_spec({.format = &format_named("int8"), .block_size = 64}, {"r.json rule 3", ""});
      },
      fails_with(ErrorKind::usage, "r.json rule 3", "no effect", "int8"));
}

}  // namespace
}  // namespace halftone::formats
