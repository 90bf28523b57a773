#include <halftone/rule.hpp>

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"

namespace halftone {
namespace {

using Kind = Match::Kind;

TEST(Match, Contains_finds_a_case_sensitive_substring) {
  const Match match(Kind::contains, "img_in");
  EXPECT_TRUE(match("model.img_in.weight"));
  EXPECT_TRUE(match("img_in"));
  EXPECT_FALSE(match("model.Img_in.weight"));
}

TEST(Match, Contains_takes_no_wildcards) { EXPECT_FALSE(Match(Kind::contains, "a*c")("abc")); }

TEST(Match, Glob_covers_the_whole_name) {
  const Match match(Kind::glob, "blocks.*.attn.weight");
  EXPECT_TRUE(match("blocks.0.attn.weight"));
  EXPECT_FALSE(match("model.blocks.0.attn.weight"));
}

TEST(Match, Regex_is_searched_anywhere) {
  const Match match(Kind::regex, R"(blocks\.\d+\.)");
  EXPECT_TRUE(match("model.blocks.17.attn.weight"));
  EXPECT_FALSE(match("model.blocks.x.attn.weight"));
}

TEST(Match, Regex_may_be_anchored) {
  const Match match(Kind::regex, "^a$");
  EXPECT_TRUE(match("a"));
  EXPECT_FALSE(match("ba"));
}

TEST(Match, Name_with_a_nul_is_read_to_its_end) { EXPECT_TRUE(Match(Kind::regex, "b$")(std::string_view("a\0b", 3))); }

TEST(Match, Invalid_regex_is_refused_with_its_text) {
  EXPECT_THAT([] { (Match(Kind::regex, "blocks(")); }, test::fails_with(ErrorKind::bad_rules, "'blocks('", "missing"));
}

TEST(Match, Pattern_that_would_backtrack_forever_elsewhere_is_quick) {
  EXPECT_FALSE(Match(Kind::regex, "(a*)*b$")(std::string(20'000, 'a')));
}

TEST(Match, Text_tells_kind_and_pattern) {
  EXPECT_EQ(Match(Kind::contains, "img_in").text(), "contains 'img_in'");
  EXPECT_EQ(Match(Kind::glob, "*").text(), "glob '*'");
  EXPECT_EQ(Match(Kind::regex, "^x").text(), "regex '^x'");
}

TEST(Action, Names_are_the_words_of_a_rules_file) {
  EXPECT_EQ(name_of(Action::keep), "keep");
  EXPECT_EQ(name_of(Action::drop), "drop");
  EXPECT_EQ(name_of(Action::cast), "cast");
  EXPECT_EQ(name_of(Action::quantize), "quantize");
}

}  // namespace
}  // namespace halftone
