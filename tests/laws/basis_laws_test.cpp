// Laws of the bases that learned rounding looks at errors in, on every backend.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "laws/law_case.hpp"
#include "learn/basis.hpp"
#include "learn/engine.hpp"

namespace halftone::test {
namespace {

class BasisLaw : public ::testing::TestWithParam<NamedBackend> {};

/// Normal numbers times a power of the number of their column.
std::vector<float> graded_normal(std::uint64_t rows, std::uint64_t columns, float power, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * columns);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = normal(random) * std::pow(static_cast<float>(i % columns + 1), power);
  return values;
}

/// 512 × 640 and a rank of 200: a random subspace of 320 columns, enough that a GPU splits it without eigenvectors.
TEST_P(BasisLaw, A_random_subspace_holds_nearly_what_the_best_basis_does) {
  constexpr std::uint64_t rows = 512;
  constexpr std::uint64_t columns = 640;
  const std::shared_ptr<learn::Engine> engine = GetParam().backend->make_engine(0);
  learn::Memory memory(*engine);
  const std::vector<float> values = graded_normal(rows, columns, -0.5F, 3);
  const learn::Matrix weight = memory.matrix_of(values.data(), rows, columns);
  const learn::Basis best = learn::leading_basis(*engine, memory, weight, 200, learn::BasisMethod::exact, 0, 0);
  const learn::Basis found = learn::leading_basis(*engine, memory, weight, 200, learn::BasisMethod::randomized, 2, 1);
  EXPECT_GT(found.captured_energy, 0.99 * best.captured_energy);
  EXPECT_LT(found.captured_energy, 1.001 * best.captured_energy);
  for (const learn::Matrix& side : {found.left, found.right}) {
    const learn::Matrix gram = memory.matrix(side.columns, side.columns);
    engine->multiply({.a = side, .transpose_a = true, .b = side, .c = gram, .full_precision = true});
    EXPECT_NEAR(std::sqrt(engine->squared_norm(gram)), std::sqrt(200.0), 1e-2);
    std::vector<float> diagonal(side.columns);
    engine->diagonal(gram, diagonal.data());
    for (std::size_t i = 0; i < 200; ++i) EXPECT_NEAR(diagonal[i], 1.0F, 1e-3F) << i;
  }
}

/// The element that is far above all others is one direction; the rest has to be found beside it, by an engine with binary16
/// factors, too.
TEST_P(BasisLaw, A_random_subspace_is_found_in_weights_of_any_size_and_beside_an_outlier) {
  constexpr std::uint64_t rows = 512;
  constexpr std::uint64_t columns = 640;
  const std::shared_ptr<learn::Engine> engine = GetParam().backend->make_engine(0);
  const std::vector<float> plain = graded_normal(rows, columns, -0.5F, 4);
  for (const std::uint64_t rank : {16U, 100U, 200U}) {
    for (const auto& [factor, outlier] : {std::pair{1e-30F, 0.0F}, {1e30F, 0.0F}, {1.0F, 200.0F}}) {
      std::vector<float> values = plain;
      for (float& value : values) value *= factor;
      if (outlier != 0.0F) values[1234] = outlier;
      learn::Memory memory(*engine);
      const learn::Matrix weight = memory.matrix_of(values.data(), rows, columns);
      const learn::Basis best = learn::leading_basis(*engine, memory, weight, rank, learn::BasisMethod::exact, 0, 0);
      const learn::Basis found = learn::leading_basis(*engine, memory, weight, rank, learn::BasisMethod::randomized, 3, 1);
      // What is left over tells more than what is held, nearly all of which may be the outlier.
      const double left_over = 1.0 - best.captured_energy;
      EXPECT_LT(1.0 - found.captured_energy, 1.1 * left_over + 1e-6) << rank << " " << factor << " " << outlier;
      for (const learn::Matrix& side : {found.left, found.right}) {
        const learn::Matrix gram = memory.matrix(side.columns, side.columns);
        engine->multiply({.a = side, .transpose_a = true, .b = side, .c = gram, .full_precision = true});
        EXPECT_NEAR(engine->squared_norm(gram), static_cast<double>(rank), 1e-2 * static_cast<double>(rank)) << factor << " " << outlier;
      }
    }
  }
}

/// Weights that are not of the mean 0 have one direction that may be hundreds of times larger than all others.
TEST_P(BasisLaw, However_many_iterations_lose_no_directions_beside_a_large_one) {
  constexpr std::uint64_t rows = 512;
  constexpr std::uint64_t columns = 640;
  const std::shared_ptr<learn::Engine> engine = GetParam().backend->make_engine(0);
  learn::Memory memory(*engine);
  std::vector<float> values = graded_normal(rows, columns, -0.25F, 5);
  const learn::Matrix bulk = memory.matrix_of(values.data(), rows, columns);
  const double bulk_energy = engine->squared_norm(bulk);
  for (float& value : values) value += 12.5F;
  const learn::Matrix weight = memory.matrix_of(values.data(), rows, columns);
  for (const std::uint64_t rank : {64U, 200U}) {
    const learn::Basis best = learn::leading_basis(*engine, memory, bulk, rank - 1, learn::BasisMethod::exact, 0, 0);
    for (const int iterations : {1, 3, 8, 24}) {
      SCOPED_TRACE(testing::Message() << rank << ", " << iterations << " iterations");
      const learn::Basis found = learn::leading_basis(*engine, memory, weight, rank, learn::BasisMethod::randomized, iterations, 1);
      EXPECT_EQ(found.rank, rank);
      const learn::Matrix inside = memory.matrix(found.left.columns, columns);
      engine->multiply({.a = found.left, .transpose_a = true, .b = bulk, .c = inside, .full_precision = true});
      const double held = engine->squared_norm(inside) / bulk_energy;
      EXPECT_GT(held, (iterations == 1 ? 0.85 : 0.95) * best.captured_energy);
    }
  }
}

TEST_P(BasisLaw, A_weight_of_fewer_directions_than_the_basis_is_held_whole) {
  constexpr std::uint64_t rows = 512;
  constexpr std::uint64_t columns = 640;
  const std::shared_ptr<learn::Engine> engine = GetParam().backend->make_engine(0);
  for (const std::uint64_t rank : {16U, 200U}) {
    learn::Memory memory(*engine);
    const std::vector<float> some = sample_values(rows * 5, 8);
    const std::vector<float> others = sample_values(columns * 5, 9);
    const learn::Matrix weight = memory.matrix(rows, columns);
    engine->multiply({.a = memory.matrix_of(some.data(), rows, 5),
                      .b = memory.matrix_of(others.data(), columns, 5),
                      .transpose_b = true,
                      .c = weight,
                      .full_precision = true});
    const learn::Basis found = learn::leading_basis(*engine, memory, weight, rank, learn::BasisMethod::randomized, 3, 1);
    EXPECT_EQ(found.rank, 5U) << rank;
    EXPECT_GT(found.captured_energy, 0.999) << rank;
    EXPECT_LT(found.captured_energy, 1.01) << rank;
  }
}

/// Whatever the elements of the products are that a basis is searched with, and wherever it is split.
TEST_P(BasisLaw, A_basis_has_as_many_columns_as_the_weight_has_directions) {
  const std::shared_ptr<learn::Engine> engine = GetParam().backend->make_engine(0);
  for (const auto& [rows, columns] : {std::pair<std::uint64_t, std::uint64_t>{512, 640}, {640, 512}, {300, 401}, {96, 1024}}) {
    for (const std::uint64_t directions : {1U, 5U, 60U}) {
      const std::vector<float> some = sample_values(rows * directions, 8);
      const std::vector<float> others = sample_values(columns * directions, 9);
      for (const float factor : {1.0F, 0x1p60F, 0x1p-60F}) {
        learn::Memory memory(*engine);
        const learn::Matrix weight = memory.matrix(rows, columns);
        engine->multiply({.a = memory.matrix_of(some.data(), rows, directions),
                          .b = memory.matrix_of(others.data(), columns, directions),
                          .transpose_b = true,
                          .alpha = factor,
                          .c = weight,
                          .full_precision = true});
        for (const std::uint64_t wanted : {16U, 80U, 220U, 256U}) {
          if (wanted < directions || wanted > std::min(rows, columns) || (factor != 1.0F && directions != 5)) continue;
          SCOPED_TRACE(testing::Message() << rows << " x " << columns << ", " << directions << " of " << wanted << ", times " << factor);
          const learn::Basis found = learn::leading_basis(*engine, memory, weight, wanted, learn::BasisMethod::automatic, 3, 1);
          EXPECT_EQ(found.rank, directions);
          EXPECT_EQ(found.wanted_rank, wanted);
          EXPECT_NEAR(found.captured_energy, 1.0, 1e-3);
          for (const learn::Matrix& side : {found.left, found.right}) {
            const learn::Matrix gram = memory.matrix(side.columns, side.columns);
            engine->multiply({.a = side, .transpose_a = true, .b = side, .c = gram, .full_precision = true});
            EXPECT_NEAR(engine->squared_norm(gram), static_cast<double>(directions), 1e-2 * static_cast<double>(directions));
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Everywhere, BasisLaw, ::testing::ValuesIn(backends_with_engines()),
                         [](const auto& test) { return identifier(test.param.name); });

}  // namespace
}  // namespace halftone::test
