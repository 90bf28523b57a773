#include <limits>

#include <gmock/gmock.h>

#include "report/eval_page.hpp"
#include "report/html.hpp"
#include "report/layer_plots.hpp"
#include "report/svg.hpp"

namespace halftone::report {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(Html, Text_stays_text) {
  EXPECT_EQ(escape("<b a='x'>&\"</b>"), "&lt;b a=&#39;x&#39;&gt;&amp;&quot;&lt;/b&gt;");
  EXPECT_EQ(escape("plain.ä€"), "plain.ä€");
}

TEST(Html, What_is_not_seen_is_spelt_out) {
  EXPECT_EQ(escape("a\u202Eb\u2066c\u200Bd"), "a\\u202eb\\u2066c\\u200bd");
  EXPECT_EQ(escape("a\xE2"), "a\xE2");  // the beginning of a character, at the end of the text
  EXPECT_THAT(escape("a\x1B[31m"), Not(HasSubstr("\x1B")));
}

TEST(Html, Names_may_break_after_dots) { EXPECT_EQ(code("a.<b"), "<code>a.<wbr>&lt;b</code>"); }

TEST(Html, Numbers_have_words_for_what_is_none) {
  EXPECT_EQ(decibels(std::numeric_limits<double>::infinity()), "exact");
  EXPECT_EQ(decibels(-std::numeric_limits<double>::infinity()), "–");
  EXPECT_EQ(with_unit(31.54), "31.5 dB");
  EXPECT_EQ(with_unit(std::numeric_limits<double>::infinity()), "exact");
  EXPECT_EQ(decibels(std::numeric_limits<double>::quiet_NaN()), "–");
  EXPECT_EQ(percent(0), "0 %");
  EXPECT_EQ(percent(0.0265), "2.65 %");
}

TEST(Svg, Neighbours_are_added_up) {
  EXPECT_THAT(merged({1, 2, 3, 4, 5}, 2), ElementsAre(6, 9));
  EXPECT_THAT(merged({1, 2}, 64), ElementsAre(1, 2));
  EXPECT_THAT(merged({}, 64), ElementsAre());
}

TEST(Svg, Share_is_cut_to_the_width) {
  EXPECT_EQ(bar(7, "mark"), bar(1, "mark"));
  EXPECT_EQ(bar(-1, "mark"), bar(0, "mark"));
  EXPECT_EQ(bar(std::numeric_limits<double>::quiet_NaN(), "mark"), bar(0, "mark"));
}

TEST(LayerPlots, Codes_stand_in_the_order_of_their_values) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(codes_by_value({{10, 20, 30, 40}, {0, 2, nan, -1}}), ElementsAre(40, 10, 20));
}

TEST(EvalPage, Of_odd_figures_is_still_a_page) {
  Evaluation evaluation;
  EvaluatedLayer layer{.name = "<table>", .format = "fp8", .shape = {0, 4}, .advice = "a < b"};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  layer.figures = {nan, nan, nan, nan, nan, nan, 4};
  evaluation.layers.push_back(layer);
  evaluation.total = layer.figures;
  const std::string html = eval_page(evaluation, "<f>", "s");
  EXPECT_THAT(html, HasSubstr("<code>&lt;table&gt;</code>"));
  EXPECT_THAT(html, HasSubstr("a &lt; b"));
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("<f>")));
}

}  // namespace
}  // namespace halftone::report
