#include "exec/candidate_errors.hpp"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::exec {
namespace {

QuantSpec searching(const char* format) { return {.format = &format_named(format), .scales = ScaleMethod::search}; }

std::vector<float> gaussian(std::size_t n, float deviation = 1.0F) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

float largest(const std::vector<float>& values) {
  float amax = 0;
  for (const float value : values) amax = std::max(amax, std::fabs(value));
  return amax;
}

MatrixView matrix(const std::vector<float>& values, std::uint64_t columns, std::uint64_t first = 0, std::uint64_t rows = UINT64_MAX) {
  const std::uint64_t all = values.size() / columns;
  return {reinterpret_cast<const std::byte*>(values.data() + first * columns), Dtype::F32, std::min(rows, all - first), columns};
}

float best(const QuantSpec& spec, const std::vector<float>& values, std::uint64_t columns) {
  const auto backend = cpu::make_backend();
  CandidateErrors errors(*backend, spec, largest(values));
  errors.add(matrix(values, columns));
  return errors.best_amax();
}

/// The sum of squared errors of INT8 with the scale `amax` / 127, in binary64.
double int8_error(const std::vector<float>& values, float amax) {
  const double scale = static_cast<double>(amax) / 127;
  double sum = 0;
  for (const float value : values) {
    const double code = std::nearbyint(std::fmin(std::fmax(value / scale, -127.0), 127.0));
    sum += (code * scale - value) * (code * scale - value);
  }
  return sum;
}

TEST(CandidateErrors, Needed_only_for_a_search_of_a_whole_weights_scale) {
  EXPECT_TRUE(CandidateErrors::are_needed(searching("int8")));
  EXPECT_TRUE(CandidateErrors::are_needed(searching("nvfp4")));
  EXPECT_FALSE(CandidateErrors::are_needed({.format = &format_named("int8")}));
  EXPECT_FALSE(CandidateErrors::are_needed(searching("fp8-row")));
  EXPECT_FALSE(CandidateErrors::are_needed(searching("fp8")));
}

TEST(CandidateErrors, Int8_takes_the_candidate_of_least_error) {
  for (const float magnitude : {1e-9F, 1.0F, 1e30F}) {
    std::vector<float> values = gaussian(64 * 333, magnitude);
    values[5] = 20.0F * magnitude;
    float least = largest(values);
    for (int i = 0; i < 36; ++i) {
      const float amax = largest(values) * (1.0F - 0.02F * static_cast<float>(i));
      if (int8_error(values, amax) < int8_error(values, least)) least = amax;
    }
    EXPECT_LT(least, largest(values));
    EXPECT_EQ(best(searching("int8"), values, 333), least) << magnitude;
  }
}

TEST(CandidateErrors, Bands_in_any_order_give_the_same_choice) {
  const std::vector<float> values = gaussian(64 * 96);
  const auto backend = cpu::make_backend();
  for (const char* format : {"int8", "nvfp4"}) {
    const QuantSpec spec = searching(format);
    CandidateErrors backwards(*backend, spec, largest(values));
    for (std::uint64_t row = 64; row-- > 0;) backwards.add(matrix(values, 96, row, 1));
    EXPECT_EQ(backwards.best_amax(), best(spec, values, 96)) << format;
  }
}

TEST(CandidateErrors, A_weight_of_zeros_keeps_the_plain_scale) {
  EXPECT_EQ(best(searching("int8"), std::vector<float>(64), 32), 0.0F);
  EXPECT_EQ(best(searching("nvfp4"), std::vector<float>(64), 32), 0.0F);
}

TEST(CandidateErrors, Nvfp4_leaves_room_above_its_largest_group_where_that_gains) {
  // With 1.5 times the plain scale, 5 / 6, both values are exact.  That is beyond 448 times the plain scale of the weight.
  std::vector<float> values(16 * 32);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 5.0F : -3.75F;
  EXPECT_EQ(best(searching("nvfp4"), values, 32), 5.0F * 1.75F);
}

TEST(CandidateErrors, Nvfp4_keeps_the_plain_scale_where_small_groups_would_vanish) {
  // The largest group is exact with the plain scale; the others need the smallest scale that E4M3 has.
  std::vector<float> values(16 * 64);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i < 16 ? 2688.0F : 6.0F * 0x1p-9F;
  EXPECT_EQ(best(searching("nvfp4"), values, 64), 2688.0F);
}

TEST(CandidateErrors, A_factor_above_one_stays_finite) {
  std::vector<float> values(16 * 32, 3e38F);
  EXPECT_TRUE(std::isfinite(best(searching("nvfp4"), values, 32)));
}

}  // namespace
}  // namespace halftone::exec
