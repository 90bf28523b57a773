#include "base/text.hpp"

#include <gmock/gmock.h>

namespace halftone::base {
namespace {

using testing::Eq;
using testing::Optional;

TEST(Nearest, Typing_mistake_finds_the_word) { EXPECT_THAT(nearest("quantise", {"keep", "quantize"}), Optional(Eq("quantize"))); }

TEST(Nearest, Transposed_letters_find_the_word) { EXPECT_THAT(nearest("pf8-row", {"fp8-row", "int8-row"}), Optional(Eq("fp8-row"))); }

TEST(Nearest, Short_word_may_differ_by_one_letter) {
  EXPECT_THAT(nearest("fp9", {"fp8"}), Optional(Eq("fp8")));
  EXPECT_EQ(nearest("fq9", {"fp8"}), std::nullopt);
}

TEST(Nearest, Unrelated_word_finds_nothing) { EXPECT_EQ(nearest("banana", {"keep", "drop", "cast"}), std::nullopt); }

TEST(Nearest, Equal_distance_takes_the_first) { EXPECT_THAT(nearest("cat", {"cut", "cot"}), Optional(Eq("cut"))); }

TEST(Nearest, No_candidates_finds_nothing) { EXPECT_EQ(nearest("fp8", {}), std::nullopt); }

TEST(DidYouMean, Near_word_is_suggested) { EXPECT_EQ(did_you_mean("fp", {"fp8", "int8"}), "; did you mean 'fp8'?"); }

TEST(DidYouMean, Unrelated_word_suggests_nothing) { EXPECT_EQ(did_you_mean("banana", {"fp8"}), ""); }

TEST(ParseBytes, Every_unit_has_its_size) {
  const std::vector<std::pair<const char*, std::uint64_t>> sizes = {
      {"4096", 4096},
      {"7b", 7},
      {"1k", 1024},
      {"1KB", 1000},
      {"1KiB", 1024},
      {"3m", 3 << 20},
      {"3MB", 3'000'000},
      {"3MiB", 3 << 20},
      {"1g", 1 << 30},
      {"2GB", 2'000'000'000},
      {"1GiB", 1 << 30},
      {"1t", 1ULL << 40},
      {"1TB", 1'000'000'000'000},
      {"1TiB", 1ULL << 40},
  };
  for (const auto& [text, bytes] : sizes) EXPECT_THAT(parse_bytes(text), Optional(bytes)) << text;
}

TEST(ParseBytes, Fraction_is_rounded_to_whole_bytes) {
  EXPECT_THAT(parse_bytes("1.5GiB"), Optional(std::uint64_t{3} << 29));
  EXPECT_THAT(parse_bytes("0.3b"), Optional(0U));
}

TEST(ParseBytes, Unit_ignores_case) { EXPECT_EQ(parse_bytes("64MIB"), parse_bytes("64mib")); }

TEST(ParseBytes, What_is_no_size_gives_nothing) {
  for (const char* text : {"", "MiB", "-1", "1 GiB", " 1", "1XB", "1GiBs", "0x10", "nan", "inf", "1e400", "8388608TiB"}) {
    EXPECT_EQ(parse_bytes(text), std::nullopt) << text;
  }
}

TEST(HumanBytes, Three_digits_and_a_unit) {
  EXPECT_EQ(human_bytes(0), "0 bytes");
  EXPECT_EQ(human_bytes(1023), "1023 bytes");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(12 * 1024), "12.0 KiB");
  EXPECT_EQ(human_bytes(123 << 20), "123 MiB");
  EXPECT_EQ(human_bytes(std::uint64_t{3} << 29), "1.50 GiB");
  EXPECT_EQ(human_bytes(std::uint64_t{5} << 40), "5.00 TiB");
}

TEST(HumanBytes, Beyond_the_largest_unit_stays_in_it) { EXPECT_EQ(human_bytes(std::uint64_t{1} << 60), "1048576 TiB"); }

TEST(IsUtf8, Well_formed_text_is_accepted) {
  for (const std::string_view text : {"", "ascii", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                                      "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF",
                                      "Gr\xC3\xBC\xC3\x9F"
                                      "e \xF0\x9F\x8E\xA8"}) {
    EXPECT_TRUE(is_utf8(text)) << text;
  }
}

TEST(IsUtf8, Nul_is_a_character) { EXPECT_TRUE(is_utf8(std::string_view("a\0b", 3))); }

TEST(IsUtf8, Overlong_form_is_rejected) {
  for (const std::string_view text : {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF"}) {
    EXPECT_FALSE(is_utf8(text)) << testing::PrintToString(text);
  }
}

TEST(IsUtf8, Surrogate_is_rejected) {
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));
  EXPECT_FALSE(is_utf8("\xED\xBF\xBF"));
}

TEST(IsUtf8, Beyond_unicode_is_rejected) {
  for (const std::string_view text : {"\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF"}) {
    EXPECT_FALSE(is_utf8(text)) << testing::PrintToString(text);
  }
}

TEST(IsUtf8, Every_truncation_is_rejected) {
  for (const std::string_view whole : {"\xC3\xBC", "\xE2\x82\xAC", "\xF0\x9F\x8E\xA8"}) {
    for (std::size_t length = 1; length < whole.size(); ++length) {
      EXPECT_FALSE(is_utf8(whole.substr(0, length))) << length;
      EXPECT_FALSE(is_utf8(std::string(whole.substr(0, length)) + "abc")) << length;
    }
  }
}

TEST(IsUtf8, Stray_continuation_is_rejected) {
  EXPECT_FALSE(is_utf8("\x80"));
  EXPECT_FALSE(is_utf8("a\xBF"));
}

TEST(GlobMatch, Without_star_the_whole_text_must_be_equal) {
  EXPECT_TRUE(glob_match("a.weight", "a.weight"));
  EXPECT_FALSE(glob_match("a.weight", "aa.weight"));
  EXPECT_FALSE(glob_match("a.weight", "a.weights"));
  EXPECT_FALSE(glob_match("a.weight", "axweight"));
}

TEST(GlobMatch, Star_takes_any_run) {
  for (const char* text : {"blocks.0.weight", "blocks..weight", "blocks.weight.weight"})
    EXPECT_TRUE(glob_match("blocks.*.weight", text)) << text;
  EXPECT_FALSE(glob_match("blocks.*.weight", "blocks.weight"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("a*", "a"));
}

TEST(GlobMatch, Later_star_backtracks) {
  EXPECT_TRUE(glob_match("*ab*ac", "abxabacac"));
  EXPECT_FALSE(glob_match("*ab*ac", "abxabaca"));
}

TEST(GlobMatch, Other_wildcards_are_literal) {
  EXPECT_FALSE(glob_match("a?", "ab"));
  EXPECT_TRUE(glob_match("a[0]", "a[0]"));
}

TEST(GlobMatch, Many_stars_stay_fast) {
  std::string pattern;
  for (int i = 0; i < 50; ++i) pattern += "*a";
  EXPECT_FALSE(glob_match(pattern + "b", std::string(20'000, 'a')));
}

}  // namespace
}  // namespace halftone::base
