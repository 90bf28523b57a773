#include <cmath>
#include <numeric>

#include "cpu/cpu_backend.hpp"
#include "unit/conversion_test.hpp"
#include "verify/verify_files.hpp"

namespace halftone {
namespace {

/// An output of fp8, verified against another weight: the input times `factor`.
class LearnedNoise : public test::ConversionTest {
 protected:
  LearnedNoise() : values_(64 * 64) {
    std::iota(values_.begin(), values_.end(), 1.0F);
    for (const float value : values_) signal_ += static_cast<double>(value) * static_cast<double>(value);
    write_input({test::f32("a.weight", {64, 64}, values_)});
    (void)convert_to("fp8");
  }

  [[nodiscard]] bool passes(double factor, const verify::LearnedNoises& learned) {
    std::vector<float> other = values_;
    for (float& value : other) value *= static_cast<float>(factor);
    const std::filesystem::path path = folder_ / "other.safetensors";
    test::write_model(path, {test::f32("a.weight", {64, 64}, other)});
    const auto backend = cpu::make_backend();
    const io::ModelFiles files(output());
    const eval::FloatModel original(path, *backend);
    return verify::verify_files(files, &original, *backend, {.target = Target::none, .threads = 1}, control_, learned).passed();
  }

  std::vector<float> values_;
  double signal_ = 0;
};

TEST_F(LearnedNoise, Layer_may_be_as_far_from_its_weight_as_learning_took_it) {
  EXPECT_FALSE(passes(0.5, {}));
  EXPECT_TRUE(passes(0.5, {{"a", {.squared_error = 0.25 * signal_, .change = 0}}}));
  EXPECT_TRUE(passes(0.5, {{"a", {.squared_error = 0, .change = 1}}}));  // the weight became twice as large
  EXPECT_TRUE(passes(0.5, {{"a", {.squared_error = 0.0625 * signal_, .change = 0.25}}}));
}

TEST_F(LearnedNoise, Layer_further_away_than_that_is_a_problem) {
  EXPECT_FALSE(passes(0.5, {{"a", {.squared_error = 0.1 * signal_, .change = 0}}}));
  EXPECT_FALSE(passes(0.5, {{"a", {.squared_error = 0, .change = 0.5}}}));
  EXPECT_FALSE(passes(0.5, {{"b", {.squared_error = signal_, .change = 0}}}));
}

}  // namespace
}  // namespace halftone
