// What engines do with matrices, held against binary64, at the sizes where another way of doing it begins.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "laws/law_case.hpp"
#include "learn/engine.hpp"
#include "learn/memory.hpp"

namespace halftone::test {
namespace {

using learn::Element;
using learn::Matrix;

class MatrixLaw : public ::testing::TestWithParam<NamedBackend> {
 protected:
  [[nodiscard]] std::vector<float> values_of(const Matrix& a) {
    const Matrix single = memory_.matrix(a.rows, a.columns);
    engine_->convert(a, 1.0F, single);
    std::vector<float> values(a.rows * a.columns);
    engine_->download(single.data, values.data(), values.size() * sizeof(float));
    return values;
  }
  [[nodiscard]] Matrix converted(const std::vector<float>& values, std::uint64_t columns, Element element) {
    const Matrix single = memory_.matrix_of(values.data(), values.size() / columns, columns);
    if (element == Element::single) return single;
    const Matrix out = memory_.matrix(single.rows, columns, element);
    engine_->convert(single, 1.0F, out);
    return out;
  }
  /// A positive definite matrix: that of inner products of 2 n vectors, and something on the diagonal.
  [[nodiscard]] static std::vector<float> definite(std::uint64_t n) {
    const std::vector<float> vectors = sample_values(2 * n * n, 7);
    std::vector<float> a(n * n);
    for (std::uint64_t i = 0; i < n; ++i) {
      for (std::uint64_t j = 0; j < n; ++j) {
        double sum = i == j ? 0.01 : 0.0;
        for (std::uint64_t k = 0; k < 2 * n; ++k) sum += static_cast<double>(vectors[k * n + i]) * static_cast<double>(vectors[k * n + j]);
        a[i * n + j] = static_cast<float>(sum);
      }
    }
    return a;
  }

  std::shared_ptr<learn::Engine> engine_ = GetParam().backend->make_engine(0);
  learn::Memory memory_{*engine_};
};

/// Row i of a · row j of b.
double row_product(const std::vector<float>& a, std::uint64_t i, const std::vector<float>& b, std::uint64_t j, std::uint64_t columns) {
  double sum = 0;
  for (std::uint64_t k = 0; k < columns; ++k) sum += static_cast<double>(a[i * columns + k]) * static_cast<double>(b[j * columns + k]);
  return sum;
}

/// Rounding makes a factor that of a matrix n · 2^-24 of the norm away; a few times that is let pass.
double tolerance(const std::vector<float>& a, std::uint64_t n) {
  double squares = 0;
  for (const float value : a) squares += static_cast<double>(value) * static_cast<double>(value);
  return 4.0 * static_cast<double>(n) * 0x1p-24 * std::sqrt(squares);
}

TEST_P(MatrixLaw, A_factor_multiplies_to_what_was_factored_and_its_inverse_undoes_it) {
  for (const std::uint64_t n : {1U, 2U, 7U, 33U, 63U, 64U, 65U, 96U}) {
    const std::vector<float> a = definite(n);
    const Matrix factor = memory_.matrix_of(a.data(), n, n);
    ASSERT_TRUE(engine_->cholesky(factor)) << n;
    std::vector<float> lower = values_of(factor);
    for (std::uint64_t i = 0; i < n * n; ++i) lower[i] = i % n > i / n ? 0.0F : lower[i];
    for (std::uint64_t i = 0; i < n * n; ++i) {
      ASSERT_NEAR(row_product(lower, i / n, lower, i % n, n), a[i], tolerance(a, n)) << n << " rows, element " << i;
    }
    engine_->invert_lower(factor);
    const std::vector<float> inverse = values_of(factor);
    for (std::uint64_t i = 0; i < n; ++i) {
      for (std::uint64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (std::uint64_t k = 0; k < n; ++k) sum += static_cast<double>(inverse[i * n + k]) * static_cast<double>(lower[k * n + j]);
        // Errors grow with the condition, of some thousands.
        ASSERT_NEAR(sum, i == j ? 1.0 : 0.0, 1e-3) << n << " rows, element " << i << ", " << j;
        if (j > i) {
          ASSERT_EQ(inverse[i * n + j], 0.0F) << n << " rows, element " << i << ", " << j;
        }
      }
    }
  }
}

TEST_P(MatrixLaw, What_is_not_positive_definite_has_no_factor) {
  for (const std::uint64_t n : {1U, 40U, 90U}) {
    for (const float last : {0.0F, -1.0F}) {
      std::vector<float> a(n * n);
      for (std::uint64_t i = 0; i < n; ++i) a[i * n + i] = 1.0F;
      a[n * n - 1] = last;
      EXPECT_FALSE(engine_->cholesky(memory_.matrix_of(a.data(), n, n))) << n << " rows, " << last;
    }
  }
}

/// An engine that does it at once has the bits of one that takes a step after another.
TEST_P(MatrixLaw, The_inverse_of_a_ridged_factor_is_that_of_its_steps) {
  constexpr float first_ridge = 1e-6F;
  for (const std::uint64_t n : {1U, 7U, 63U, 64U, 65U}) {
    // Definite; singular, by two equal rows and columns; definite with a ridge of 0.01, or with none; zeros.
    for (int kind = 0; kind < 5; ++kind) {
      std::vector<float> a = kind < 2 ? definite(n) : std::vector<float>(n * n);
      for (std::uint64_t i = 0; i < n && kind == 1; ++i) a[(n - 1) * n + i] = a[i];
      if (kind == 1) a[n * n - 1] = a[0];
      for (std::uint64_t i = 0; i < n && kind < 4 && kind > 1; ++i) a[i * n + i] = 1.0F;
      if (kind == 2) a[n * n - 1] = -1e-3F;
      if (kind == 3) a[n * n - 1] = -2.0F;
      const Matrix found = memory_.matrix_of(a.data(), n, n);
      if (!engine_->invert_ridged_factor(found, first_ridge)) {
        EXPECT_EQ(values_of(found), a);
        continue;
      }
      Matrix stepped = memory_.matrix_of(a.data(), n, n);
      float ridge = first_ridge;
      engine_->add_ridge(stepped, ridge);
      while (!engine_->cholesky(stepped)) {
        ridge *= 10.0F;
        stepped = ridge > 1.0F ? Matrix{} : memory_.matrix_of(a.data(), n, n);
        if (ridge > 1.0F) break;
        engine_->add_ridge(stepped, ridge);
      }
      if (stepped.data != nullptr) engine_->invert_lower(stepped);
      const std::vector<float> expected = stepped.data != nullptr ? values_of(stepped) : std::vector<float>(n * n);
      EXPECT_EQ(values_of(found), expected) << n << " rows, kind " << kind;
    }
  }
}

TEST_P(MatrixLaw, Eigenvectors_are_orthonormal_diagonalise_and_ascend) {
  for (const std::uint64_t n : {1U, 2U, 7U, 33U, 63U, 64U, 65U}) {
    for (const bool is_definite : {true, false}) {
      std::vector<float> a = definite(n);
      for (std::uint64_t i = 0; i < n && !is_definite; ++i) a[i * n + i] = i % 2 == 0 ? 0.0F : a[i * n + i];
      const Matrix matrix = memory_.matrix_of(a.data(), n, n);
      engine_->eigenvectors(matrix);
      const std::vector<float> vectors = values_of(matrix);
      std::vector<float> images(n * n);
      for (std::uint64_t i = 0; i < n * n; ++i) images[i] = static_cast<float>(row_product(vectors, i / n, a, i % n, n));
      double before = -INFINITY;
      for (std::uint64_t i = 0; i < n; ++i) {
        const double value = row_product(images, i, vectors, i, n);
        EXPECT_GE(value, before - tolerance(a, n)) << n << " rows, vector " << i;
        before = value;
        for (std::uint64_t j = 0; j < n; ++j) {
          ASSERT_NEAR(row_product(vectors, i, vectors, j, n), i == j ? 1.0 : 0.0, 1e-5) << n << " rows, vectors " << i << ", " << j;
          if (i != j) {
            ASSERT_NEAR(row_product(images, i, vectors, j, n), 0.0, tolerance(a, n)) << n << " rows, vectors " << i << ", " << j;
          }
        }
      }
    }
  }
}

/// Where an engine has factors of binary16, these are what is multiplied, and sums are of binary32.
TEST_P(MatrixLaw, Factors_of_either_element_give_the_products_of_their_values) {
  const std::uint64_t rows = 40;
  const std::uint64_t inner = 200;
  const std::uint64_t columns = 24;
  for (const Element element : {Element::single, engine_->factor_element()}) {
    const Matrix a = converted(sample_values(rows * inner, 1), inner, element);
    const Matrix b = converted(sample_values(columns * inner, 2), inner, element);
    const Matrix added = converted(sample_values(rows * columns, 3), columns, element);
    const std::vector<float> a_values = values_of(a);
    const std::vector<float> b_values = values_of(b);
    const std::vector<float> added_values = values_of(added);
    const Matrix c = memory_.matrix(rows, columns);
    const Matrix d = memory_.matrix(rows, columns, element, 16.0F);
    engine_->multiply({.a = a, .b = b, .transpose_b = true, .alpha = 2.0F, .c = c, .full_precision = true});
    engine_->multiply({.a = a, .b = b, .transpose_b = true, .alpha = -2.0F, .beta = 0.5F, .added = added, .c = d, .full_precision = true});
    const std::vector<float> products = values_of(c);
    const std::vector<float> sums = values_of(d);
    for (std::uint64_t i = 0; i < rows * columns; ++i) {
      const double product = 2.0 * row_product(a_values, i / columns, b_values, i % columns, inner);
      const double bound = 0x1p-20 * std::sqrt(row_product(a_values, i / columns, a_values, i / columns, inner) *
                                               row_product(b_values, i % columns, b_values, i % columns, inner));
      ASSERT_NEAR(products[i], product, 2.0 * bound) << "element " << i;
      const double sum = 0.5 * static_cast<double>(added_values[i]) - product;
      // The result is rounded to 11 bits there.
      ASSERT_NEAR(sums[i], sum, 2.0 * bound + (element == Element::half ? 0x1p-11 * std::fabs(sum) + 0x1p-25 / 16.0 : 0.0))
          << "element " << i;
    }
  }
}

TEST_P(MatrixLaw, Conversions_scale_add_to_the_diagonal_and_keep_parts) {
  const std::uint64_t n = 24;
  for (const Element element : {Element::single, engine_->factor_element()}) {
    const std::vector<float> values = sample_values(n * n, 4);
    const Matrix whole = converted(values, n, element);
    const Matrix part = memory_.matrix(8, 8);
    engine_->convert(whole.rows_at(8, 8).columns_at(8, 8), 3.0F, part, 1.0F);
    const std::vector<float> found = values_of(part);
    for (std::uint64_t i = 0; i < 64; ++i) {
      const float expected = 3.0F * values[(8 + i / 8) * n + 8 + i % 8] + (i / 8 == i % 8 ? 1.0F : 0.0F);
      ASSERT_NEAR(found[i], expected, element == Element::half ? 0x1p-11F * 3.0F * 0.9F : 1e-6F) << "element " << i;
    }
    const double sum = engine_->squared_norm(whole);
    double expected = 0;
    for (const float value : values) expected += static_cast<double>(value) * static_cast<double>(value);
    EXPECT_NEAR(sum / expected, 1.0, 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Everywhere, MatrixLaw, ::testing::ValuesIn(backends_with_engines()),
                         [](const auto& test) { return identifier(test.param.name); });

}  // namespace
}  // namespace halftone::test
