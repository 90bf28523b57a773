#include "learn/basis.hpp"

#include <algorithm>
#include <cmath>

#include <halftone/codec/hd.hpp>

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
  /// directions that it holds up come out short, as they should: there is nothing in them.  Where there is nothing in any,
  /// the columns become zero, a basis in which no loss is seen.
  void pass(const Matrix& a) {
    float ridge = 1e-6F;
    while (true) {
      engine_.multiply({.a = a, .transpose_a = true, .b = a, .c = gram_, .full_precision = true});
      engine_.add_ridge(gram_, ridge);
      if (engine_.cholesky(gram_)) break;
      ridge *= 10.0F;
      if (ridge > 1.0F) return engine_.clear(a.data, a.rows * a.columns * sizeof(float));
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
  return smaller <= 64 || 2 * rank >= smaller;
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

/// Columns of the random subspace: what lies just outside of the basis then disturbs it less.
std::uint64_t oversampled(std::uint64_t rank, const Matrix& weight) {
  return std::min({rank + std::max<std::uint64_t>(rank / 2, 10), weight.rows, weight.columns});
}

/// The leading left singular vectors, out of a random subspace (Halko, Martinsson and Tropp, algorithms 4.4 and 5.1).
void randomized_side(Engine& engine, const Matrix& weight, int power_iterations, std::uint64_t seed, const Matrix& out) {
  Memory memory(engine);
  const std::uint64_t wide = oversampled(out.columns, weight);
  const Matrix left = memory.matrix(weight.rows, wide);
  const Matrix right = memory.matrix(weight.columns, wide);
  Orthonormaliser orthonormaliser(engine, memory, weight.rows, wide);
  engine.fill_signs(right, seed);
  engine.multiply({.a = weight, .b = right, .c = left});
  for (int i = 0; i < power_iterations; ++i) {
    orthonormaliser.apply(left, 1);
    engine.multiply({.a = weight, .transpose_a = true, .b = left, .c = right});
    engine.multiply({.a = weight, .b = right, .c = left});
  }
  orthonormaliser.apply(left, 2);
  // Within the subspace, the largest directions by the eigenvectors of the small leftᵀ W Wᵀ left.
  engine.multiply({.a = weight, .transpose_a = true, .b = left, .c = right});
  const Matrix small = memory.matrix(wide, wide);
  engine.multiply({.a = right, .transpose_a = true, .b = right, .c = small, .full_precision = true});
  engine.eigenvectors(small);
  engine.multiply({.a = left, .b = small.rows_at(wide - out.columns, out.columns), .transpose_b = true, .c = out, .full_precision = true});
}

}  // namespace

Resized of_usual_size(Engine& engine, Memory& memory, const Matrix& a) {
  constexpr float limit = 0x1p30F;
  const float largest = codec::from_bits(engine.largest(a.data, a.rows * a.columns));
  if (largest == 0.0F || (largest < limit && largest > 1.0F / limit)) return {a, 1.0F};
  const Resized scaled{memory.matrix(a.rows, a.columns), std::min(1.0F / largest, 0x1p126F)};
  engine.clear(scaled.matrix.data, a.rows * a.columns * sizeof(float));
  engine.add_scaled(a, scaled.factor, scaled.matrix);
  return scaled;
}

std::uint64_t rank_of(const RankOptions& options, std::uint64_t rows, std::uint64_t columns) {
  const std::uint64_t smaller = std::min(rows, columns);
  const auto part = static_cast<std::uint64_t>(std::floor(options.top_p * static_cast<double>(smaller)));
  return std::min({options.max_k, std::max(options.min_k, part), smaller});
}

Basis leading_basis(Engine& engine, Memory& memory, const Matrix& given, std::uint64_t rank, BasisMethod method, int power_iterations,
                    std::uint64_t seed) {
  Memory resized(engine);
  const Matrix weight = of_usual_size(engine, resized, given).matrix;
  Basis basis{memory.matrix(weight.rows, rank), memory.matrix(weight.columns, rank)};
  const bool exact = method == BasisMethod::exact || (method == BasisMethod::automatic && prefers_exact(weight, rank));
  const bool from_right = exact && weight.columns < weight.rows;
  if (exact) {
    exact_side(engine, weight, from_right ? basis.right : basis.left);
  } else {
    randomized_side(engine, weight, power_iterations, seed, basis.left);
  }
  // The other side, and how far it leads out of the first.
  Memory scratch(engine);
  const Matrix& known = from_right ? basis.right : basis.left;
  const Matrix& other = from_right ? basis.left : basis.right;
  engine.multiply({.a = weight, .transpose_a = !from_right, .b = known, .c = other});
  basis.captured_energy = engine.squared_norm(other) / engine.squared_norm(weight);
  Orthonormaliser(engine, scratch, other.rows, rank).apply(other, exact ? 2 : 1);
  const Matrix back = scratch.matrix(known.rows, rank);
  const Matrix inside = scratch.matrix(rank, rank);
  engine.multiply({.a = weight, .transpose_a = from_right, .b = other, .c = back});
  const double energy = engine.squared_norm(back);
  engine.multiply({.a = known, .transpose_a = true, .b = back, .c = inside});
  engine.multiply({.a = known, .b = inside, .alpha = -1.0F, .beta = 1.0F, .c = back});
  basis.residual = energy > 0 ? std::sqrt(engine.squared_norm(back) / energy) : 0;
  return basis;
}

}  // namespace halftone::learn
