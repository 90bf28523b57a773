#include "plan/rotation.hpp"

#include <limits>

#include <gmock/gmock.h>

#include "unit/conversion_test.hpp"

namespace halftone::plan {
namespace {

using test::bf16;
using test::decision_for;
using test::fails_with;
using test::model_of;
using test::options_for;
using test::output_of;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A plan for a layer that loses so much rotated and unrotated.
Plan plan_with(const RotationErrors& errors, PlanOptions options = options_for("int8-convrot")) {
  options.rotation = Rotation::automatic;
  options.rotation_errors = {{"a.weight", errors}};
  return build_plan(model_of({bf16("a.weight", {8, 256})}), {}, options);
}

std::string_view form_of(const Plan& plan) { return decision_for(plan, "a.weight").spec.format->name(); }

TEST(Rotation, Stays_only_where_it_loses_less) {
  EXPECT_EQ(form_of(plan_with({1.0, 2.0})), "int8-convrot");
  EXPECT_EQ(form_of(plan_with({2.0, 1.0})), "int8-row");
  EXPECT_EQ(form_of(plan_with({1.0, 1.0})), "int8-row");
  EXPECT_EQ(form_of(plan_with({0.0, 0.0})), "int8-row");
  EXPECT_EQ(form_of(plan_with({kInfinity, 1.0})), "int8-row");
}

TEST(Rotation, Unrotated_layer_is_planned_like_one_of_its_plain_form) {
  const Plan chosen = plan_with({2.0, 1.0});
  const Plan plain = build_plan(model_of({bf16("a.weight", {8, 256})}), {}, options_for("int8-row"));
  EXPECT_EQ(serialize(chosen.output), serialize(plain.output));
  EXPECT_EQ(chosen.output_bytes(), plain.output_bytes());
  EXPECT_EQ(chosen.jobs.size(), plain.jobs.size());
}

TEST(Rotation, Decision_says_errors_and_what_was_taken) {
  const Plan plan = plan_with({2.0, 0.5, true});
  EXPECT_THAT(decision_for(plan, "a.weight").reason, HasSubstr("weighted squared error 2 rotated, 0.5 not; written as int8-row"));
  EXPECT_THAT(plan.notes, ElementsAre(HasSubstr("0 of 1 layer rotated")));
}

TEST(Rotation, Choice_is_part_of_the_identity_of_a_plan) { EXPECT_NE(plan_with({2.0, 1.0}).hash(), plan_with({1.0, 2.0}).hash()); }

TEST(Rotation, Layers_that_were_not_measured_are_refused) {
  PlanOptions options = options_for("int8-convrot");
  options.rotation = Rotation::automatic;
  options.rotation_errors.emplace();
  EXPECT_THAT(
      [&] {
        (void)build_plan(model_of({bf16("a.weight", {8, 256})}), {}, options);
      },
      fails_with(ErrorKind::usage, "'a.weight'", "not been measured"));
}

TEST(Rotation, Without_measurements_every_layer_is_rotated_and_that_is_noted) {
  PlanOptions options = options_for("int8-convrot");
  options.rotation = Rotation::automatic;
  const Plan plan = build_plan(model_of({bf16("a.weight", {8, 256}), bf16("b.weight", {8, 24})}), {}, options);
  EXPECT_EQ(form_of(plan), "int8-convrot");
  EXPECT_THAT(plan.notes, testing::Contains(HasSubstr("nothing was measured")));
  const auto questions = rotation_questions(plan);
  ASSERT_EQ(questions.size(), 1U) << "a layer that no group divides is not asked about";
  EXPECT_EQ(questions[0]->inputs[0].info.name, "a.weight");
}

TEST(Rotation, An_example_decides_the_layers_that_it_has) {
  PlanOptions options = options_for("int8-convrot");
  options.like = Example{.name = "like", .layers = {{"a.weight", options.spec}}, .files = {}};
  options.like->layers.at("a.weight")->rotation_group = 64;
  const Plan plan = plan_with({2.0, 1.0}, options);
  EXPECT_EQ(form_of(plan), "int8-convrot");
  EXPECT_THAT(plan.notes, testing::ElementsAre(HasSubstr("--rotation auto has no effect")));
}

TEST(Rotation, Formats_without_a_choice_refuse_it) {
  for (const char* format : {"fp8", "int8-row", "w4a4-convrot", "w4a8"}) {
    EXPECT_THAT([&] { (void)plan_with({1.0, 2.0}, options_for(format)); }, fails_with(ErrorKind::usage, "--rotation auto", format));
  }
}

class MeasuredRotation : public test::ConversionTest {
 protected:
  MeasuredRotation() {
    options_.rotation = Rotation::automatic;
    options_.spec.rotation_group = 16;
  }

  /// Two magnitudes, which INT8 holds exactly; and one weight of each row that dwarfs the others, which rotation spreads.
  void write_layers() const {
    std::vector<float> flat(kRows * kColumns, 1.0F);
    std::vector<float> heavy(kRows * kColumns);
    for (std::size_t i = 0; i < flat.size(); ++i) {
      if (i % 3 == 0) flat[i] = -1.0F;
      heavy[i] = i % kColumns == 5 ? 100.0F : static_cast<float>(i % 7) * 0.3F;
    }
    write_input({test::f32("flat.weight", {kRows, kColumns}, flat), test::f32("heavy.weight", {kRows, kColumns}, heavy)});
  }

  void write_statistics(const std::vector<float>& mean_squares) {
    test::write_model(folder_ / "stats.safetensors",
                      {test::f32("flat.diag", {kColumns}, mean_squares), test::f32("heavy.diag", {kColumns}, mean_squares)});
    options_.statistics = read_statistics(folder_ / "stats.safetensors");
  }

  static constexpr std::size_t kRows = 37;  // no multiple of anything
  static constexpr std::size_t kColumns = 48;
  PlanOptions options_ = options_for("int8-convrot");
};

TEST_F(MeasuredRotation, Chooses_for_each_layer) {
  write_layers();
  const Plan plan = convert_with(options_).plan;
  EXPECT_EQ(decision_for(plan, "flat.weight").spec.format->name(), "int8-row");
  EXPECT_EQ(decision_for(plan, "flat.weight").rotation->plain, 0.0);
  EXPECT_EQ(decision_for(plan, "heavy.weight").spec.format->name(), "int8-convrot");
  EXPECT_EQ(plan.hash(), plan_conversion(input(), options_).hash());
}

TEST_F(MeasuredRotation, Weights_of_columns_decide) {
  write_layers();
  std::vector<float> only_large(kColumns, 0.0F);
  only_large[5] = 1.0F;  // which plain rounding holds exactly: it is the largest of its row
  write_statistics(only_large);
  const Plan plan = convert_with(options_).plan;
  const Decision& heavy = decision_for(plan, "heavy.weight");
  EXPECT_TRUE(heavy.rotation->weighted);
  EXPECT_LT(heavy.rotation->plain, 1e-6);
  EXPECT_EQ(heavy.spec.format->name(), "int8-row");
}

TEST_F(MeasuredRotation, Negative_mean_squares_are_refused) {
  write_layers();
  write_statistics(std::vector<float>(kColumns, -1.0F));
  EXPECT_THAT([&] { convert_with(options_); }, fails_with(ErrorKind::bad_statistics, "flat.diag", "-1"));
}

TEST_F(MeasuredRotation, Stop_ends_the_measuring) {
  write_layers();
  control_.stop = true;
  EXPECT_THAT([&] { (void)plan_conversion(input(), options_, {}, control_); }, fails_with(ErrorKind::interrupted, "interrupted"));
}

}  // namespace
}  // namespace halftone::plan
