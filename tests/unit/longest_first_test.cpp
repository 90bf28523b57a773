#include "learn/longest_first.hpp"

#include <gtest/gtest.h>

#include "unit/fails_with.hpp"

namespace halftone::learn {
namespace {

TEST(LongestFirst, One_takes_all_and_begins_when_it_may) {
  EXPECT_EQ(longest_first({1, 2, 4}, {0}), 7);
  EXPECT_EQ(longest_first({1, 2, 4}, {8}), 15);
  EXPECT_EQ(longest_first({}, {8}), 0);
}

TEST(LongestFirst, Whoever_is_free_takes_the_longest_that_is_left) {
  EXPECT_EQ(longest_first({1, 4, 2, 2}, {0, 0}), 5);   // 4 + 1 beside 2 + 2
  EXPECT_EQ(longest_first({3, 3, 1}, {0, 2.5}), 5.5);  // 3 and 1 beside 3 that begin late
  EXPECT_EQ(longest_first({3, 1}, {0, 9}), 4);         // nobody waits for the second
}

TEST(LongestFirst, Nobody_takes_nothing) {
  EXPECT_THAT([] { (void)longest_first({1}, {}); }, test::fails_with(ErrorKind::internal));
}

}  // namespace
}  // namespace halftone::learn
