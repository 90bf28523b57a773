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
/// matrix", 2014).  Values near 0 grow 2.6 times by each but the last five, and about 50 times by those.
[[nodiscard]] std::vector<SignStep> sign_steps(int count);

enum class Orthonormality : std::uint8_t {
  rough,  ///< well-conditioned: what the next product needs
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
  /// The method that is faster on `engine`.
  [[nodiscard]] static Method method_for(const MatrixEngine& engine) {
    return engine.prefers_products() ? Method::products : Method::factors;
  }

  /// For matrices without gaps, of at most `largest_rows` rows.
  Orthonormaliser(MatrixEngine& engine, Memory& memory, std::uint64_t largest_rows, std::uint64_t columns, Method method);

  void apply(const Matrix& a, Orthonormality wanted);

 private:
  void factor(const Matrix& a);
  void iterate(const Matrix& a, Orthonormality wanted);

  MatrixEngine& engine_;
  Method method_;
  Matrix gram_;
  Matrix scratch_;
};

}  // namespace halftone::learn
