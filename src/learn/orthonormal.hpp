#pragma once

#include <cstdint>
#include <vector>

#include "learn/memory.hpp"

namespace halftone::learn {

/// The odd cubic a·x - b·x³.
struct SignStep {
  float linear;
  float cubic;
};
/// Cubics that bring, one after another, values of [0, 1] towards 1 without leaving the range: Newton-Schulz steps, scaled
/// as Chen and Chow do ("A stable scaling of Newton-Schulz for improving the sign function computation of a Hermitian
/// matrix", 2014).  Values near 0 grow 2.6 times by each step but the last `rising`, which bring those above a fiftieth
/// close to 1: 4 to 0.7, 5 to 0.94, 6 to 0.998.
[[nodiscard]] std::vector<SignStep> sign_steps(int count, int rising);

enum class Orthonormality : std::uint8_t {
  rough,  ///< of a condition below 5: what the next product needs
  close,  ///< but for what the products of the engine lose
  full,   ///< to rounding
};

/// Makes the columns of matrices orthonormal, in the space that they span.  Directions in which there is nothing come out
/// short, as they should, and columns of zeros stay so.
class Orthonormaliser {
 public:
  enum class Method : std::uint8_t {
    factors,   ///< a Cholesky factor of the Gram matrix
    products,  ///< Newton-Schulz iteration towards the polar factor: more operations, all of them in products
  };
  /// The method that is faster on `engine` for so many columns.
  [[nodiscard]] static Method method_for(const MatrixEngine& engine, std::uint64_t columns) {
    return engine.prefers_products(columns) ? Method::products : Method::factors;
  }

  /// For matrices without gaps, of at most `largest_rows` rows, of whose columns `filled` are not zeros, all of one element,
  /// which is binary32 for factors.
  struct Extent {
    std::uint64_t largest_rows;
    std::uint64_t columns;
    std::uint64_t filled;
    Element element = Element::single;
  };
  Orthonormaliser(MatrixEngine& engine, Memory& memory, const Extent& extent, Method method);

  /// Binary16 does not hold what is orthonormal to rounding.
  void apply(const Matrix& a, Orthonormality wanted);
  /// Sets `out`, of binary32, which may be `a`, to what is made of `a`, fully; leaves in `a` what it likes.
  void apply_fully(const Matrix& a, const Matrix& out);

 private:
  /// Sets `out`, which is not `a`, to columns that are less oblique.
  void factor(const Matrix& a, const Matrix& out);
  /// Steps; returns where the result is, in `a` or in scratch.
  [[nodiscard]] Matrix iterate(const Matrix& a, Orthonormality wanted);
  /// What the squared singular values of a matrix are like, of which `gram` holds a multiple of the Gram matrix.
  struct Spread {
    double largest;   ///< at least the largest, in units of `gram`
    double flatness;  ///< 1 where all are equal, 1 / filled columns where there is one
  };
  [[nodiscard]] Spread spread_of(const Matrix& a, const Matrix& gram);
  /// Where steps between `a` and scratch go next.
  [[nodiscard]] Matrix other_than(const Matrix& from, const Matrix& a) const;

  MatrixEngine& engine_;
  Method method_;
  double filled_;
  Matrix gram_;
  Matrix small_;  ///< Gram matrices that are multiplied: gram_, where its element is theirs
  Matrix scratch_;
};

}  // namespace halftone::learn
