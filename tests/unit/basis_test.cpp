// Bases of leading singular vectors, and the iterations of products that find them.
#include "learn/basis.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "cpu/cpu_backend.hpp"
#include "learn/leading_part.hpp"
#include "learn/orthonormal.hpp"
#include "support/learn_problem.hpp"

namespace halftone::learn {
namespace {

using Method = Orthonormaliser::Method;

class Bases : public ::testing::Test {
 protected:
  /// A matrix of random elements whose columns shrink by `ratio` from the first to the last.
  [[nodiscard]] Matrix graded(std::uint64_t rows, std::uint64_t columns, double ratio) {
    std::vector<float> values = test::gaussian_weight(rows * columns, 5);
    for (std::uint64_t row = 0; row < rows; ++row) {
      for (std::uint64_t i = 0; i < columns; ++i) {
        values[row * columns + i] *= static_cast<float>(std::pow(ratio, -static_cast<double>(i) / static_cast<double>(columns - 1)));
      }
    }
    return memory_.matrix_of(values.data(), rows, columns);
  }

  [[nodiscard]] Matrix product(const Product& p, std::uint64_t rows, std::uint64_t columns) {
    Product whole = p;
    whole.c = memory_.matrix(rows, columns);
    engine_->multiply(whole);
    return whole.c;
  }

  /// The largest element of aᵀ a - I.
  [[nodiscard]] float off_orthonormality(const Matrix& a) {
    const Matrix gram = product({.a = a, .transpose_a = true, .b = a}, a.columns, a.columns);
    engine_->add_to_diagonal(gram, -1.0F);
    float largest = 0;
    for (std::uint64_t i = 0; i < a.columns * a.columns; ++i) largest = std::max(largest, std::fabs(gram.data[i]));
    return largest;
  }

  /// The mean squared length of the columns of `wanted`, which are orthonormal, in the space of `basis`, whose are, too.
  [[nodiscard]] double captured(const Matrix& basis, const Matrix& wanted) {
    const Matrix inside = product({.a = basis, .transpose_a = true, .b = wanted}, basis.columns, wanted.columns);
    return engine_->squared_norm(inside) / static_cast<double>(wanted.columns);
  }

  std::shared_ptr<Backend> backend_ = cpu::make_backend();
  std::shared_ptr<Engine> engine_ = backend_->make_engine(0);
  Memory memory_{*engine_};
};

TEST_F(Bases, Both_ways_to_orthonormal_columns_keep_their_space) {
  const Matrix a = graded(160, 48, 200.0);
  const Matrix b = memory_.matrix(160, 48);
  engine_->copy(a.data, b.data, 160 * 48 * sizeof(float));
  Orthonormaliser(*engine_, memory_, {160, 48, 48}, Method::factors).apply(a, Orthonormality::full);
  Orthonormaliser(*engine_, memory_, {160, 48, 48}, Method::products).apply(b, Orthonormality::full);
  EXPECT_LT(off_orthonormality(a), 1e-5F);
  // Lengths of 0.998 become 1 - 1.5 · 0.002², whose square is off by twice that: 1.2e-5, and rounding.
  EXPECT_LT(off_orthonormality(b), 1.5e-5F);
  EXPECT_NEAR(captured(a, b), 1.0, 1.5e-5);
}

/// The shortest direction is then longer than a fifth.
TEST_F(Bases, Rough_columns_of_a_condition_of_60_get_one_below_5) {
  const Matrix a = graded(160, 48, 60.0);
  Orthonormaliser(*engine_, memory_, {160, 48, 48}, Method::products).apply(a, Orthonormality::rough);
  EXPECT_LT(off_orthonormality(a), 1.0F - 1.0F / 25.0F);
}

TEST_F(Bases, Columns_of_zeros_stay_so) {
  const Matrix a = graded(96, 20, 10.0);
  for (std::uint64_t row = 0; row < 96; ++row) a.data[row * 20 + 7] = 0.0F;
  Orthonormaliser(*engine_, memory_, {96, 20, 20}, Method::products).apply(a, Orthonormality::full);
  float largest = 0;
  for (std::uint64_t row = 0; row < 96; ++row) largest = std::max(largest, std::fabs(a.data[row * 20 + 7]));
  EXPECT_EQ(largest, 0.0F);
  engine_->clear(a.data, 96 * 20 * sizeof(float));
  Orthonormaliser(*engine_, memory_, {96, 20, 20}, Method::products).apply(a, Orthonormality::full);
  EXPECT_EQ(engine_->squared_norm(a), 0.0);
}

TEST_F(Bases, The_sign_splits_off_the_space_of_the_largest_eigenvalues) {
  // Eigenvalues fall by a factor of 900 in all, and by a third at the border.
  const Matrix half = graded(200, 120, 20.0);
  const std::uint64_t k = 80;
  const Matrix s = product({.a = half, .transpose_a = true, .b = half}, 120, 120);
  const Matrix copied = memory_.matrix(120, 120);
  engine_->copy(s.data, copied.data, 120 * 120 * sizeof(float));
  const Matrix exact = memory_.matrix(120, k);
  const Matrix found = memory_.matrix(120, k);
  engine_->clear(found.data, 120 * k * sizeof(float));
  EXPECT_TRUE(leading_part(*engine_, s, SplitMethod::eigenvectors, exact));
  EXPECT_FALSE(leading_part(*engine_, copied, SplitMethod::sign, found));
  Orthonormaliser(*engine_, memory_, {120, k, k}, Method::factors).apply(found, Orthonormality::full);
  EXPECT_GT(captured(found, exact), 0.93);
}

TEST_F(Bases, Eigenvalues_too_far_apart_for_the_sign_are_left_to_eigenvectors) {
  const Matrix half = graded(200, 120, 4000.0);
  const Matrix s = product({.a = half, .transpose_a = true, .b = half}, 120, 120);
  const Matrix found = memory_.matrix(120, 80);
  engine_->clear(found.data, 120 * 80 * sizeof(float));
  EXPECT_TRUE(leading_part(*engine_, s, SplitMethod::sign, found));
  EXPECT_LT(off_orthonormality(found), 1e-4F);
}

TEST_F(Bases, One_direction_far_above_the_others_does_not_hide_them) {
  const Matrix a = graded(160, 48, 4.0);
  for (std::uint64_t row = 0; row < 160; ++row) a.data[row * 48] *= 500.0F;
  Orthonormaliser(*engine_, memory_, {160, 48, 48}, Method::products).apply(a, Orthonormality::full);
  EXPECT_LT(off_orthonormality(a), 1e-4F);
}

TEST_F(Bases, A_random_subspace_finds_what_leads) {
  const Matrix weight = graded(300, 260, 30.0);
  const Basis exact = leading_basis(*engine_, memory_, weight, 40, BasisMethod::exact, 0, 0);
  const Basis found = leading_basis(*engine_, memory_, weight, 40, BasisMethod::randomized, 3, 1);
  EXPECT_EQ(found.rank, 40U);
  EXPECT_GT(found.captured_energy, 0.99 * exact.captured_energy);
  EXPECT_NEAR(captured(found.left, exact.left) * static_cast<double>(exact.left.columns) / 40.0, 1.0, 0.1);
  EXPECT_LT(off_orthonormality(found.left.columns_at(0, 40)), 1e-4F);
  EXPECT_LT(off_orthonormality(found.right.columns_at(0, 40)), 1e-4F);
}

TEST(PowerIterations, A_small_basis_gets_up_to_three_times_as_many) {
  EXPECT_EQ(power_iterations(Effort::usual, 819, 4096, 4096), 3);
  EXPECT_EQ(power_iterations(Effort::usual, 2000, 4096, 5000), 3);
  EXPECT_EQ(power_iterations(Effort::usual, 410, 4096, 4096), 6);
  EXPECT_EQ(power_iterations(Effort::usual, 38, 512, 384), 6);
  EXPECT_EQ(power_iterations(Effort::best, 16, 4096, 4096), 24);
}

// A Gaussian matrix has no gap between its singular values.
TEST_F(Bases, A_small_basis_of_what_has_no_gap_is_found_all_the_same) {
  const std::vector<float> values = test::gaussian_weight(300 * 400, 3);
  const Matrix a = memory_.matrix_of(values.data(), 300, 400);
  for (const std::uint64_t rank : {15U, 30U, 60U}) {
    const Basis exact = leading_basis(*engine_, memory_, a, rank, BasisMethod::exact, 0, 0);
    const Basis found =
        leading_basis(*engine_, memory_, a, rank, BasisMethod::randomized, power_iterations(Effort::usual, rank, 300, 400), 1);
    EXPECT_GT(captured(found.left, exact.left), 0.9) << rank;
  }
}

}  // namespace
}  // namespace halftone::learn
