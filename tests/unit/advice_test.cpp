#include "allocate/advice.hpp"

#include <cmath>

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

TEST(Advice, Tells_of_clipping_first) {
  EvaluatedLayer layer = layer_with(20);
  layer.clipped = 40;
  EXPECT_THAT(advice_for(layer, 20), testing::StartsWith("2.00 % of its weights are clipped."));
}

}  // namespace
}  // namespace halftone::allocate
