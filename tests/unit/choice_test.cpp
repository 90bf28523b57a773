#include "allocate/choice.hpp"

#include <limits>
#include <random>

#include <gmock/gmock.h>

#include "support/seed.hpp"

namespace halftone::allocate {
namespace {

using Layers = std::vector<std::vector<Option>>;

/// The least loss of all choices within the limit; infinite without one.
double brute_force(const Layers& layers, double limit) {
  std::vector<std::size_t> chosen(layers.size(), 0);
  double best = std::numeric_limits<double>::infinity();
  while (true) {
    double cost = 0;
    double loss = 0;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      cost += layers[i][chosen[i]].cost;
      loss += layers[i][chosen[i]].loss;
    }
    if (cost <= limit) best = std::min(best, loss);
    std::size_t i = 0;
    while (i < layers.size() && ++chosen[i] == layers[i].size()) chosen[i++] = 0;
    if (i == layers.size()) return best;
  }
}

Layers random_layers(std::mt19937_64& random, bool signed_costs) {
  std::uniform_int_distribution<std::size_t> count(1, 7);
  std::uniform_int_distribution<std::size_t> options(1, 5);
  std::uniform_int_distribution<int> amount(1, 40);  // small numbers: equal costs and losses are frequent
  Layers layers(count(random));
  for (auto& layer : layers) {
    layer.resize(options(random));
    for (Option& option : layer) {
      option = {static_cast<double>(amount(random)), static_cast<double>(amount(random))};
      if (signed_costs) option.cost -= 20;
    }
  }
  return layers;
}

void expect_best(const Layers& layers, double limit) {
  const double best = brute_force(layers, limit);
  const std::optional<Choice> choice = choose(layers, limit);
  ASSERT_EQ(choice.has_value(), best < std::numeric_limits<double>::infinity());
  if (!choice) return;
  EXPECT_TRUE(choice->is_best);
  EXPECT_EQ(choice->loss, best);
  EXPECT_EQ(choice->least_loss, best);
  EXPECT_LE(choice->cost, limit);
  double cost = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) cost += layers[i][choice->options[i]].cost;
  EXPECT_EQ(cost, choice->cost);
}

TEST(Choice, Is_that_of_brute_force) {
  const std::uint64_t seed = test::random_seed();
  SCOPED_TRACE(testing::Message() << "HALFTONE_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> limit(0, 200);
  for (int i = 0; i < 2000; ++i) {
    const bool signed_costs = i % 2 == 1;
    expect_best(random_layers(random, signed_costs), static_cast<double>(limit(random) - (signed_costs ? 100 : 0)));
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Choice, Takes_an_option_that_no_price_makes_best) {
  // (2, 6) lies above the line from (0, 10) to (3, 0), and it alone fits beside the first layer.
  expect_best({{{0, 10}, {2, 6}, {3, 0}}, {{1, 1}}}, 3);
}

TEST(Choice, Is_nothing_where_the_cheapest_is_too_much) { EXPECT_FALSE(choose({{{2, 0}, {3, 0}}, {{1, 5}}}, 2.5)); }

TEST(Choice, Of_no_layers_is_empty) {
  const auto choice = choose({}, 0);
  ASSERT_TRUE(choice);
  EXPECT_THAT(choice->options, testing::IsEmpty());
}

TEST(Choice, Search_that_is_cut_short_says_so_and_bounds_what_it_missed) {
  Layers layers;
  std::mt19937_64 random(7);
  for (int i = 0; i < 60; ++i)
    layers.push_back({{1000.0, 100.0 + static_cast<double>(random() % 97)}, {1990.0 + static_cast<double>(random() % 31), 1}});
  const auto cut = choose(layers, 90'001, 3);
  ASSERT_TRUE(cut);
  EXPECT_FALSE(cut->is_best);
  EXPECT_LE(cut->cost, 90'001);
  EXPECT_LE(cut->least_loss, cut->loss);
  const auto whole = choose(layers, 90'001);
  ASSERT_TRUE(whole);
  EXPECT_LE(whole->loss, cut->loss);
  EXPECT_GE(whole->loss, cut->least_loss);
}

}  // namespace
}  // namespace halftone::allocate
