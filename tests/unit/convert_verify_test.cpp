#include <numeric>

#include "unit/conversion_test.hpp"

namespace halftone {
namespace {

using test::fails_with;

class ConvertVerified : public test::ConversionTest {
 protected:
  void write_weight(const Shape& shape) const {
    std::vector<float> values(element_count(shape));
    std::iota(values.begin(), values.end(), -100.0F);
    write_input({test::f32("a.weight", shape, values)});
  }
};

TEST_F(ConvertVerified, Output_in_order_gets_its_name) {
  write_weight({32, 64});
  const RunReport report = convert_with(test::options_for("fp8"), {.threads = 2, .verify = true});
  ASSERT_TRUE(report.verification);
  EXPECT_TRUE(report.verification->passed());
  ASSERT_EQ(report.verification->layers.size(), 1U);
  ASSERT_TRUE(report.verification->layers[0].error);
  EXPECT_EQ(report.verification->layers[0].error->figures.noise, report.verification->layers[0].error->expected.noise);
  EXPECT_TRUE(std::filesystem::exists(output()));
}

TEST_F(ConvertVerified, Nothing_is_verified_unless_asked_for) {
  write_weight({32, 64});
  EXPECT_FALSE(convert_to("fp8").verification);
}

TEST_F(ConvertVerified, Output_with_a_problem_never_appears) {
  write_weight({30, 20});
  const auto work = [&] { (void)convert_with(test::options_for("fp8"), {.threads = 2, .verify = true}); };
  EXPECT_THAT(work, fails_with(ErrorKind::verification, "is not kept", "a: ", "divisible by 16"));
  expect_no_output();
  PlanOptions options = test::options_for("fp8");
  options.target = Target::none;
  EXPECT_TRUE(convert_with(options, {.threads = 2, .verify = true}).verification->passed());
}

TEST_F(ConvertVerified, Format_that_the_target_does_not_load_is_refused_at_once) {
  write_weight({32, 64});
  const auto work = [&] { (void)convert_with(test::options_for("fp8-row"), {.threads = 2, .verify = true}); };
  EXPECT_THAT(work, fails_with(ErrorKind::usage, "fp8-row", "--target none"));
  expect_no_output();
}

TEST_F(ConvertVerified, Dequantizing_is_not_verified) {
  write_weight({32, 64});
  const auto work = [&] { (void)dequantize(input(), output(), Dtype::BF16, {.verify = true}, control_); };
  EXPECT_THAT(work, fails_with(ErrorKind::usage, "verified"));
}

}  // namespace
}  // namespace halftone
