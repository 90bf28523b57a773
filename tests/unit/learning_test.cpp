#include "plan/learning.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::fails_with;
using test::model_of;
using test::options_for;

/// Two layers, and statistics that have the second moments of the first.
class Learning : public testing::Test {
 protected:
  Learning() {
    options_.learn.emplace();
    options_.statistics = Statistics{"stats.safetensors", model_of({{"a.second_moment", Dtype::F32, {64, 64}}})};
  }

  [[nodiscard]] std::map<std::string, LearnRecipe> recipes() const {
    const Plan plan = build_plan(model_of({bf16("a.weight", {128, 64}), bf16("b.weight", {128, 64})}), {}, options_);
    std::map<std::string, LearnRecipe> found;
    for (const Job& job : plan.jobs) {
      if (job.learn) found.emplace(job.inputs[0].info.name, *job.learn);
    }
    return found;
  }

  PlanOptions options_ = options_for("fp8");
};

TEST_F(Learning, Statistics_say_what_they_are) {
  const auto notes_with = [&](const Metadata& metadata) {
    options_.statistics->index = model_of({{"a.second_moment", Dtype::F32, {64, 64}}, {"b.second_moment", Dtype::F32, {64, 64}}}, metadata);
    return build_plan(model_of({bf16("a.weight", {128, 64}), bf16("b.weight", {128, 64})}), {}, options_).notes;
  };
  EXPECT_THAT(notes_with({{"format", "halftone-statistics"}, {"version", "1"}}), testing::IsEmpty());
  EXPECT_THAT(notes_with({}), testing::ElementsAre(testing::HasSubstr(R"("format": "halftone-statistics")")));
  EXPECT_THAT(notes_with({{"format", "halftone-statistics"}}), testing::ElementsAre(testing::HasSubstr(R"("version": "1")")));
  EXPECT_THAT(
      [&] {
        (void)notes_with({{"format", "pt"}});
      },
      fails_with(ErrorKind::bad_statistics, "stats.safetensors", R"("format")", "halftone-statistics", R"(not "pt")"));
  EXPECT_THAT(
      [&] {
        (void)notes_with({{"format", "halftone-statistics"}, {"version", "2"}});
      },
      fails_with(ErrorKind::bad_statistics, R"("version": "1")", R"(not "2")"));
}

TEST_F(Learning, Layer_without_the_moments_that_its_method_needs_is_rounded_to_nearest) {
  const auto found = recipes();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.at("a.weight").method, LearnMethod::feedback);
  EXPECT_FALSE(found.at("a.weight").prior_weights);
}

TEST_F(Learning, Weights_stand_in_for_moments_only_where_there_are_none) {
  options_.learn->prior_weights = true;
  const auto found = recipes();
  ASSERT_EQ(found.size(), 2U);
  EXPECT_FALSE(found.at("a.weight").prior_weights);
  EXPECT_EQ(found.at("b.weight").method, LearnMethod::feedback);
  EXPECT_TRUE(found.at("b.weight").prior_weights);
}

TEST_F(Learning, Settings_reach_every_recipe) {
  options_.learn->method = LearnMethod::project;
  options_.statistics.reset();
  options_.learn->effort = Effort::best;
  options_.learn->rank.min_k = 7;
  options_.learn->mse_budget = 0.25;
  for (const auto& [tensor, recipe] : recipes()) {
    EXPECT_EQ(recipe.effort, Effort::best) << tensor;
    EXPECT_EQ(recipe.rank.min_k, 7U) << tensor;
    EXPECT_EQ(recipe.mse_budget, 0.25) << tensor;
  }
}

TEST_F(Learning, Weights_in_place_of_moments_are_refused_for_methods_without_moments) {
  options_.learn->method = LearnMethod::project;
  options_.learn->prior_weights = true;
  options_.statistics.reset();
  EXPECT_THAT([&] { (void)recipes(); }, fails_with(ErrorKind::usage, "--prior weights has no effect", "other than feedback"));
}

}  // namespace
}  // namespace halftone
