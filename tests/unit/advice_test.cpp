#include "allocate/advice.hpp"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>

namespace halftone::allocate {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A layer of 1000 bytes with this SQNR.
EvaluatedLayer layer_with(double db) {
  EvaluatedLayer layer{.name = "a.weight", .format = "nvfp4", .shape = {10, 200}, .source_bytes = 4096, .bytes = 1000};
  layer.figures.signal = std::pow(10, db / 10);
  layer.figures.noise = 1;
  layer.figures.elements = 2000;
  return layer;
}

TEST(Advice, Names_the_smallest_format_that_halves_the_error) {
  EvaluatedLayer layer = layer_with(20);
  layer.alternatives = {{"large", false, 60, 3000}, {"good", false, 31, 1900}, {"poor", false, 25, 1100}};
  EXPECT_THAT(advice_for(layer, 20), HasSubstr("Use good for it: 31.0 dB in 1.90 times the size."));
}

TEST(Advice, Names_the_search_where_it_gains) {
  EvaluatedLayer layer = layer_with(20);
  layer.alternatives = {{"nvfp4", true, 21.3, 1000}};
  EXPECT_THAT(advice_for(layer, 20), HasSubstr("Use --scales search: 21.3 dB"));
  layer.alternatives = {{"nvfp4", true, 20.1, 1000}};
  EXPECT_THAT(advice_for(layer, 20), Not(HasSubstr("search")));
}

TEST(Advice, Keeps_a_layer_that_nothing_helps) {
  EvaluatedLayer layer = layer_with(8);
  layer.alternatives = {{"other", false, 12, 1900}};
  EXPECT_THAT(advice_for(layer, 20), HasSubstr("Keep this layer as it was, in 4.00 KiB"));
}

TEST(Advice, Leaves_a_good_layer_alone) { EXPECT_THAT(advice_for(layer_with(31), 31), HasSubstr("Leave it")); }

TEST(Advice, Takes_the_best_of_one_size) {
  EvaluatedLayer layer = layer_with(20);
  layer.alternatives = {{"first", false, 31, 1900}, {"second", false, 42, 1920}, {"larger", false, 60, 1990}};
  EXPECT_THAT(advice_for(layer, 20), HasSubstr("Use second for it: 42.0 dB in 1.92 times the size."));
}

TEST(Advice, Goes_by_outputs_where_they_are_known) {
  EvaluatedLayer layer = layer_with(18);
  layer.expected = ExpectedError{.signal = 1000, .noise = 1};
  layer.alternatives = {{"nvfp4", false, 20, 1000, 0.1}, {"nvfp4", true, 21, 1000, 0.09}, {"good", false, 25, 1900, 0.01}};
  EXPECT_EQ(advice_for(layer, 32), "Use good for it: 40.0 dB of outputs in 1.90 times the size.");
}

TEST(Advice, Does_not_call_learned_rounding_bad_by_its_weights) {
  EvaluatedLayer layer = layer_with(18);
  layer.alternatives = {{"nvfp4", false, 20, 1000}, {"nvfp4", true, 21, 1000}, {"good", false, 40, 1900}};
  const std::string advice = advice_for(layer, 18);
  EXPECT_THAT(advice, HasSubstr("judge it with --stats or --activations"));
  EXPECT_THAT(advice, Not(HasSubstr("Use")));
}

TEST(Advice, Proposes_to_learn_where_the_codes_are_the_nearest) {
  EvaluatedLayer layer = layer_with(20);
  layer.expected = ExpectedError{.signal = 100, .noise = 1};
  layer.alternatives = {{"nvfp4", false, 20, 1000, 0.1}};
  EXPECT_THAT(advice_for(layer, 20), HasSubstr("try --rounding learned with --stats"));
}

TEST(Advice, Has_words_for_no_error) {
  EvaluatedLayer layer = layer_with(20);
  layer.alternatives = {{"lossless", false, std::numeric_limits<double>::infinity(), 1900}};
  EXPECT_THAT(advice_for(layer, 20), HasSubstr("Use lossless for it: no error in 1.90 times the size."));
}

TEST(Advice, Of_what_is_no_number_is_to_convert_anew) {
  EvaluatedLayer layer = layer_with(20);
  layer.figures.noise = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(advice_for(layer, 20), HasSubstr("Convert it anew"));
}

TEST(Advice, Tells_of_clipping_first) {
  EvaluatedLayer layer = layer_with(20);
  layer.clipped = 40;
  EXPECT_THAT(advice_for(layer, 20), testing::StartsWith("2.00 % of its weights are clipped."));
}

}  // namespace
}  // namespace halftone::allocate
