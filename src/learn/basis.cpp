#include "learn/basis.hpp"

#include <algorithm>
#include <cmath>

#include "base/fail.hpp"

namespace halftone::learn {
namespace {

/// Makes the columns of matrices orthonormal.
class Orthonormaliser {
 public:
  Orthonormaliser(Engine& engine, Memory& memory, std::uint64_t largest_rows, std::uint64_t rank)
      : engine_(engine), gram_(memory.matrix(rank, rank)), scratch_(memory.matrix(largest_rows, rank)) {}

  /// `times`: 2 makes orthonormal to rounding what one pass leaves a little oblique.
  void apply(const Matrix& a, int times) {
    for (int i = 0; i < times; ++i) pass(a);
  }

 private:
  /// a := a L⁻ᵀ where L Lᵀ = aᵀ a.  The ridge keeps a Gram matrix that rounding has made singular positive definite;
  /// directions that it holds up come out short, as they should: there is nothing in them.
  void pass(const Matrix& a) {
    float ridge = 1e-6F;
    while (true) {
      engine_.multiply({.a = a, .transpose_a = true, .b = a, .c = gram_, .full_precision = true});
      engine_.add_ridge(gram_, ridge);
      if (engine_.cholesky(gram_)) break;
      ridge *= 10.0F;
      if (!(ridge < 1.0F)) fail(ErrorKind::internal, "no basis was found: a Gram matrix is not positive definite");
    }
    engine_.invert_lower(gram_);
    const Matrix product = scratch_.rows_at(0, a.rows);
    engine_.multiply({.a = a, .b = gram_, .transpose_b = true, .c = product, .full_precision = true});
    engine_.copy(product.data, a.data, a.rows * a.columns * sizeof(float));
  }

  Engine& engine_;
  Matrix gram_;
  Matrix scratch_;
};

/// Where the basis is at least so large a part of the space, or the space so small, the eigenvectors are cheaper.
bool prefers_exact(const Matrix& weight, std::uint64_t rank) {
  const std::uint64_t smaller = std::min(weight.rows, weight.columns);
  return smaller <= 64 || 10 * rank >= 7 * smaller;
}

/// The leading eigenvectors of the Gram matrix of the smaller side, as columns of `out`.
void exact_side(Engine& engine, const Matrix& weight, const Matrix& out) {
  Memory memory(engine);
  const bool wide = weight.rows <= weight.columns;
  const Matrix gram = memory.matrix(out.rows, out.rows);
  engine.multiply({.a = weight, .transpose_a = !wide, .b = weight, .transpose_b = wide, .c = gram, .full_precision = true});
  engine.eigenvectors(gram);
  // The last rows belong to the largest eigenvalues.
  engine.transpose(gram.rows_at(gram.rows - out.columns, out.columns), out);
}

}  // namespace

std::uint64_t RankRule::rank(std::uint64_t rows, std::uint64_t columns) const {
  const std::uint64_t smaller = std::min(rows, columns);
  const auto part = static_cast<std::uint64_t>(std::floor(top_p * static_cast<double>(smaller)));
  return std::min({max_k, std::max(min_k, part), smaller});
}

Basis leading_basis(Engine& engine, Memory& memory, const Matrix& weight, std::uint64_t rank, BasisMethod method, int power_iterations,
                    std::uint64_t seed) {
  Basis basis{memory.matrix(weight.rows, rank), memory.matrix(weight.columns, rank)};
  Memory scratch(engine);
  Orthonormaliser orthonormaliser(engine, scratch, std::max(weight.rows, weight.columns), rank);
  const auto to_left = [&](int times) {
    engine.multiply({.a = weight, .b = basis.right, .c = basis.left});
    orthonormaliser.apply(basis.left, times);
  };
  const auto to_right = [&](int times) {
    engine.multiply({.a = weight, .transpose_a = true, .b = basis.left, .c = basis.right});
    orthonormaliser.apply(basis.right, times);
  };
  if (method == BasisMethod::exact || (method == BasisMethod::automatic && prefers_exact(weight, rank))) {
    const bool wide = weight.rows <= weight.columns;
    exact_side(engine, weight, wide ? basis.left : basis.right);
    wide ? to_right(2) : to_left(2);
  } else {
    engine.fill_signs(basis.right, seed);
    to_left(1);
    for (int i = 0; i < power_iterations; ++i) {
      to_right(1);
      to_left(1);
    }
    to_right(2);
    to_left(2);
  }
  const Matrix image = scratch.matrix(weight.columns, rank);
  const Matrix inside = scratch.matrix(rank, rank);
  engine.multiply({.a = weight, .transpose_a = true, .b = basis.left, .c = image});
  const double energy = engine.squared_norm(image);
  engine.multiply({.a = basis.right, .transpose_a = true, .b = image, .c = inside});
  engine.multiply({.a = basis.right, .b = inside, .alpha = -1.0F, .beta = 1.0F, .c = image});
  basis.captured_energy = energy / engine.squared_norm(weight);
  basis.residual = energy > 0 ? std::sqrt(engine.squared_norm(image) / energy) : 0;
  return basis;
}

}  // namespace halftone::learn
