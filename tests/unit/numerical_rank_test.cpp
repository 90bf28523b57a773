// How many directions a weight has, and that bases and corrections have no more.
#include "learn/numerical_rank.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "cpu/cpu_backend.hpp"
#include "learn/basis.hpp"
#include "learn/engine.hpp"

namespace halftone::learn {
namespace {

struct Shape {
  std::uint64_t rows;
  std::uint64_t columns;
};

class NumericalRank : public ::testing::Test {
 protected:
  /// A product of random matrices, of elements near `size`.
  [[nodiscard]] std::vector<float> directions(const Shape& shape, std::uint64_t count, float size = 0.02F) {
    std::normal_distribution<float> normal;
    std::vector<float> left(shape.rows * count);
    std::vector<float> right(count * shape.columns);
    for (float& value : left) value = normal(random_) * size;
    for (float& value : right) value = normal(random_);
    std::vector<float> product(shape.rows * shape.columns);
    for (std::uint64_t row = 0; row < shape.rows; ++row) {
      for (std::uint64_t k = 0; k < count; ++k) {
        for (std::uint64_t i = 0; i < shape.columns; ++i) {
          product[row * shape.columns + i] += left[row * count + k] * right[k * shape.columns + i];
        }
      }
    }
    return product;
  }

  [[nodiscard]] Basis basis_of(const std::vector<float>& values, const Shape& shape, std::uint64_t rank,
                               BasisMethod method = BasisMethod::automatic) {
    return leading_basis(*engine_, memory_, memory_.matrix_of(values.data(), shape.rows, shape.columns), rank, method, 3, 1);
  }

  /// The columns are orthonormal, and zeros after the rank.
  void expect_orthonormal(const Matrix& side, std::uint64_t rank) {
    const Matrix gram = memory_.matrix(side.columns, side.columns);
    engine_->multiply({.a = side, .transpose_a = true, .b = side, .c = gram, .full_precision = true});
    for (std::uint64_t i = 0; i < side.columns; ++i) {
      for (std::uint64_t k = 0; k < side.columns; ++k) {
        ASSERT_NEAR(gram.data[i * side.columns + k], i == k && i < rank ? 1.0F : 0.0F, 1e-4F) << i << " " << k << " of " << rank;
      }
    }
  }

  void expect_basis(const Basis& basis, std::uint64_t rank, std::uint64_t wanted) {
    EXPECT_EQ(basis.rank, rank);
    EXPECT_EQ(basis.wanted_rank, wanted);
    EXPECT_NEAR(basis.captured_energy, 1.0, 1e-4);
    EXPECT_LT(basis.residual, 1e-3);
    expect_orthonormal(basis.left, rank);
    expect_orthonormal(basis.right, rank);
  }

  std::mt19937 random_{3};
  std::unique_ptr<Backend> backend_ = cpu::make_backend();
  std::shared_ptr<Engine> engine_ = backend_->make_engine(0);
  Memory memory_{*engine_};
};

constexpr Shape kShapes[] = {{300, 400}, {400, 300}, {64, 900}, {40, 30}};

TEST_F(NumericalRank, A_basis_has_no_more_columns_than_the_weight_has_directions) {
  for (const Shape& shape : kShapes) {
    const std::uint64_t smaller = std::min(shape.rows, shape.columns);
    for (const std::uint64_t directions_of_it : {1U, 5U, 25U}) {
      const std::vector<float> values = directions(shape, directions_of_it);
      for (const std::uint64_t wanted : {smaller, std::max<std::uint64_t>(smaller / 4, 26)}) {
        for (const BasisMethod method : {BasisMethod::exact, BasisMethod::randomized}) {
          SCOPED_TRACE(testing::Message() << shape.rows << " x " << shape.columns << ", " << directions_of_it << " of " << wanted
                                          << (method == BasisMethod::exact ? ", exact" : ", random"));
          expect_basis(basis_of(values, shape, wanted, method), directions_of_it, wanted);
        }
      }
    }
  }
}

TEST_F(NumericalRank, Sizes_of_weights_do_not_matter) {
  const Shape shape{300, 400};
  for (const int exponent : {-120, -60, 60, 120}) {
    SCOPED_TRACE(exponent);
    std::vector<float> values = directions(shape, 5);
    for (float& value : values) value = std::ldexp(value, exponent);
    expect_basis(basis_of(values, shape, 256), 5, 256);
    expect_basis(basis_of(values, shape, 60), 5, 60);
  }
}

TEST_F(NumericalRank, Equal_rows_are_one_direction) {
  const Shape shape{300, 400};
  std::vector<float> values = directions({1, shape.columns}, 1);
  while (values.size() < shape.rows * shape.columns) values.push_back(values[values.size() - shape.columns]);
  expect_basis(basis_of(values, shape, 256), 1, 256);
  expect_basis(basis_of(values, shape, 16), 1, 16);
}

TEST_F(NumericalRank, Single_rows_and_columns_are_one_direction) {
  for (const Shape& shape : {Shape{1, 400}, Shape{400, 1}, Shape{1, 1}}) expect_basis(basis_of(directions(shape, 1), shape, 1), 1, 1);
}

TEST_F(NumericalRank, Rows_of_zeros_are_no_direction) {
  const Shape shape{60, 400};
  std::vector<float> values = directions(shape, 60);
  std::fill_n(values.begin(), 3 * shape.columns, 0.0F);
  expect_basis(basis_of(values, shape, 60), 57, 60);
}

/// Its squares are below the rounding of those of the largest, but not what they are the squares of.
TEST_F(NumericalRank, Directions_a_thousand_times_smaller_count) {
  const Shape shape{300, 400};
  const std::vector<float> large = directions(shape, 5, 1.0F);
  for (const auto& [size, wanted] : {std::pair{1e-3F, 256U}, {0.03F, 256U}, {0.03F, 32U}}) {  // the last in a random subspace
    std::vector<float> values = directions(shape, 3, size);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] += large[i];
    EXPECT_EQ(basis_of(values, shape, wanted).rank, 8U) << size << " " << wanted;
  }
}

TEST_F(NumericalRank, Directions_at_the_rounding_of_the_weight_do_not_count) {
  const Shape shape{300, 400};
  std::vector<float> values = directions(shape, 5, 1.0F);
  const std::vector<float> small = directions(shape, 200, 1e-8F);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += small[i];
  EXPECT_EQ(basis_of(values, shape, 256).rank, 5U);
}

/// In the end the smallest singular value is some 1/2000 of the largest, 20 times what is taken for rounding.
TEST_F(NumericalRank, Weights_with_all_directions_keep_their_basis) {
  const Shape shape{300, 400};
  std::normal_distribution<float> normal;
  std::vector<float> values(shape.rows * shape.columns);
  for (float& value : values) value = normal(random_);
  EXPECT_EQ(basis_of(values, shape, 300).rank, 300U);
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    values[i] = std::ldexp(values[i], -static_cast<int>(10 * (i / shape.columns) / shape.rows));
  }
  EXPECT_EQ(basis_of(values, shape, 300).rank, 300U);
  EXPECT_EQ(basis_of(values, shape, 256).rank, 256U);
}

TEST_F(NumericalRank, A_limited_basis_is_the_one_of_that_rank) {
  const Shape shape{300, 400};
  const std::vector<float> values = directions(shape, 20);
  const Basis limited = basis_of(values, shape, 256);
  const Basis asked = basis_of(values, shape, 20);
  ASSERT_EQ(limited.left.columns, asked.left.columns);
  EXPECT_TRUE(std::equal(limited.left.data, limited.left.data + 300 * limited.left.columns, asked.left.data));
  EXPECT_TRUE(std::equal(limited.right.data, limited.right.data + 400 * limited.right.columns, asked.right.data));
}

}  // namespace
}  // namespace halftone::learn
