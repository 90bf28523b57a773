#include "learn/basis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include <halftone/codec/hd.hpp>

#include "base/checked.hpp"
#include "learn/leading_part.hpp"
#include "learn/orthonormal.hpp"

namespace halftone::learn {
namespace {

void clear(MatrixEngine& engine, const Matrix& a) { engine.clear(a.data, a.rows * a.columns * sizeof(float)); }

/// The leading eigenvectors of the Gram matrix of the smaller side, as columns of `out`.
void exact_side(MatrixEngine& engine, const Matrix& weight, const Matrix& out) {
  Memory memory(engine);
  const bool wide = weight.rows <= weight.columns;
  const Matrix gram = memory.matrix(out.rows, out.rows);
  engine.multiply({.a = weight, .transpose_a = !wide, .b = weight, .transpose_b = wide, .c = gram, .full_precision = true});
  std::ignore = leading_part(engine, gram, SplitMethod::eigenvectors, out);
}

/// Rows of matrices that are multiplied begin at multiples of so many elements: products are several times faster then.
constexpr std::uint64_t kRowElements = 16;
/// Random subspaces have a multiple of so many columns: the products' tiles.
constexpr std::uint64_t kTileColumns = 64;
/// Up to so many rows, eigenvectors take no longer than an iteration that does without.
constexpr std::uint64_t kFewRows = 256;

/// A random subspace of the columns' space, drawn to the leading left singular vectors by power iterations.
void draw_subspace(MatrixEngine& engine, const Matrix& weight, int power_iterations, std::uint64_t seed, const Matrix& left,
                   const Matrix& right, Orthonormaliser& orthonormaliser, Orthonormality wanted) {
  engine.fill_signs(right, seed);
  engine.multiply({.a = weight, .b = right, .c = left});
  for (int i = 0; i < power_iterations; ++i) {
    orthonormaliser.apply(left, Orthonormality::rough);
    engine.multiply({.a = weight, .transpose_a = true, .b = left, .c = right});
    if (engine.prefers_products()) orthonormaliser.apply(right, Orthonormality::rough);
    engine.multiply({.a = weight, .b = right, .c = left});
  }
  orthonormaliser.apply(left, wanted);
}

/// One more power iteration.
void refine(MatrixEngine& engine, const Matrix& weight, const Matrix& left, const Matrix& right, Orthonormaliser& orthonormaliser) {
  engine.multiply({.a = weight, .transpose_a = true, .b = left, .c = right});
  orthonormaliser.apply(right, Orthonormality::rough);
  engine.multiply({.a = weight, .b = right, .c = left});
  orthonormaliser.apply(left, Orthonormality::full);
}

/// Sets the left side to the leading singular vectors within a larger random subspace (Halko, Martinsson and Tropp,
/// algorithms 4.4 and 5.1).
void randomized_side(MatrixEngine& engine, const Matrix& weight, int power_iterations, std::uint64_t seed, const Basis& basis,
                     Orthonormaliser& orthonormaliser) {
  const std::uint64_t wide = oversampled(basis.rank, weight.rows, weight.columns);
  const bool by_sign = engine.prefers_products() && wide > kFewRows;
  bool is_exact = false;
  {
    Memory memory(engine);
    const Matrix left = memory.matrix(weight.rows, wide);
    const Matrix right = memory.matrix(weight.columns, wide);
    Orthonormaliser wide_one(engine, memory, {std::max(weight.rows, weight.columns), wide, wide}, Orthonormaliser::method_for(engine));
    draw_subspace(engine, weight, power_iterations, seed, left, right, wide_one, by_sign ? Orthonormality::close : Orthonormality::full);
    // Within the subspace, the largest directions by the small leftᵀ W Wᵀ left.
    engine.multiply({.a = weight, .transpose_a = true, .b = left, .c = right});
    const Matrix small = memory.matrix(wide, wide);
    engine.multiply({.a = right, .transpose_a = true, .b = right, .c = small, .full_precision = true});
    const Matrix part = memory.matrix(wide, basis.left.columns);
    clear(engine, part);
    is_exact = leading_part(engine, small, by_sign ? SplitMethod::sign : SplitMethod::eigenvectors, part.columns_at(0, basis.rank));
    engine.multiply({.a = left, .b = part, .c = basis.left, .full_precision = is_exact});
  }
  if (!is_exact) return refine(engine, weight, basis.left, basis.right, orthonormaliser);
  if (by_sign) orthonormaliser.apply(basis.left, Orthonormality::full);
}

/// Sets `other` from `known`, how much of the weight the basis holds, and how far it leads out of itself.
void complete(MatrixEngine& engine, const Matrix& weight, bool from_right, Basis& basis, Orthonormaliser& orthonormaliser) {
  Memory memory(engine);
  const Matrix& known = from_right ? basis.right : basis.left;
  const Matrix& other = from_right ? basis.left : basis.right;
  std::array<double, 2> sums{};
  engine.multiply({.a = weight, .transpose_a = !from_right, .b = known, .c = other});
  engine.add_up(other, other, 0);
  engine.add_up(weight, weight, 1);
  engine.read_sums(sums);
  basis.captured_energy = sums[0] / sums[1];
  orthonormaliser.apply(other, Orthonormality::full);
  const Matrix back = memory.matrix(known.rows, known.columns);
  const Matrix inside = memory.matrix(known.columns, known.columns);
  engine.multiply({.a = weight, .transpose_a = from_right, .b = other, .c = back});
  engine.add_up(back, back, 0);
  engine.multiply({.a = known, .transpose_a = true, .b = back, .c = inside});
  engine.multiply({.a = known, .b = inside, .alpha = -1.0F, .beta = 1.0F, .c = back});
  engine.add_up(back, back, 1);
  engine.read_sums(sums);
  basis.residual = sums[0] > 0 ? std::sqrt(sums[1] / sums[0]) : 0;
}

}  // namespace

bool prefers_exact(std::uint64_t rank, std::uint64_t rows, std::uint64_t columns) {
  const std::uint64_t smaller = std::min(rows, columns);
  return smaller <= 64 || 2 * rank >= smaller;
}

std::uint64_t oversampled(std::uint64_t rank, std::uint64_t rows, std::uint64_t columns) {
  const std::uint64_t wanted = base::round_up(rank + std::max<std::uint64_t>(rank / 2, 10), kTileColumns);
  return std::min({wanted, rows, columns});
}

Resized of_usual_size(MatrixEngine& engine, Memory& memory, const Matrix& a) {
  constexpr float limit = 0x1p20F;
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

Basis leading_basis(MatrixEngine& engine, Memory& memory, const Matrix& given, std::uint64_t rank, BasisMethod method, int power_iterations,
                    std::uint64_t seed) {
  Memory scratch(engine);
  const Matrix weight = of_usual_size(engine, scratch, given).matrix;
  const std::uint64_t columns = base::round_up(rank, kRowElements);
  Basis basis{memory.matrix(weight.rows, columns), memory.matrix(weight.columns, columns), rank};
  const bool exact = method == BasisMethod::exact || (method == BasisMethod::automatic && prefers_exact(rank, weight.rows, weight.columns));
  const bool from_right = exact && weight.columns < weight.rows;
  // All singular values of an exact basis may be there, however small.
  Orthonormaliser orthonormaliser(engine, scratch, {std::max(weight.rows, weight.columns), columns, rank},
                                  exact ? Orthonormaliser::Method::factors : Orthonormaliser::method_for(engine));
  if (exact) {
    const Matrix& known = from_right ? basis.right : basis.left;
    clear(engine, known);
    exact_side(engine, weight, known.columns_at(0, rank));
  } else {
    randomized_side(engine, weight, power_iterations, seed, basis, orthonormaliser);
  }
  complete(engine, weight, from_right, basis, orthonormaliser);
  return basis;
}

}  // namespace halftone::learn
