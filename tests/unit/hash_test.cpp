#include "base/hash.hpp"

#include <gtest/gtest.h>

namespace halftone::base {
namespace {

// Plan hashes stand in files and logs, so a digest may never change.  The first two are the
// XXH3-128 test vectors of the empty text (published with xxHash) and of `xxh128sum` for "abc".
TEST(Digest, Golden_values_are_stable) {
  EXPECT_EQ(digest(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(digest("abc"), "06b05ab6733a618578af5f94892f3950");
}

TEST(Digest, Every_byte_counts) {
  EXPECT_NE(digest(std::string_view("a\0b", 3)), digest("a"));
  EXPECT_NE(digest(std::string(1000, 'x')), digest(std::string(999, 'x') + "y"));
}

}  // namespace
}  // namespace halftone::base
