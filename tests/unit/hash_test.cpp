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

TEST(StreamDigest, Pieces_change_nothing) {
  const std::string text(100'000, 'a');
  const auto bytes = std::as_bytes(std::span(text));
  StreamDigest whole;
  whole.add(bytes);
  StreamDigest pieces;
  for (std::size_t at = 0; at < bytes.size(); at += 777) pieces.add(bytes.subspan(at, std::min<std::size_t>(777, bytes.size() - at)));
  EXPECT_EQ(pieces.value(), whole.value());
}

TEST(StreamDigest, Is_XXH3_of_64_bits) { EXPECT_EQ(StreamDigest().value(), 0x2D06800538D394C2U); }

}  // namespace
}  // namespace halftone::base
