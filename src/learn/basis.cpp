#include "learn/basis.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include <halftone/codec/hd.hpp>

#include "base/checked.hpp"
#include "learn/effort.hpp"
#include "learn/leading_part.hpp"
#include "learn/numerical_rank.hpp"
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

/// What a weight and its bases are multiplied as.  Bases and random subspaces have whole tiles, or as many columns as one
/// side of the weight.
Element element_for(const MatrixEngine& engine, const Matrix& weight) {
  const bool is_aligned = weight.rows % kHalfMultiple == 0 && weight.columns % kHalfMultiple == 0;
  return is_aligned ? engine.factor_element() : Element::single;
}

/// A weight of a norm of 1 or, in binary32, of a usual size, as it is multiplied.
Matrix weight_as_factor(MatrixEngine& engine, Memory& memory, const Matrix& given, Element element) {
  if (element == Element::single) return of_usual_size(engine, memory, given).matrix;
  engine.add_up(given, given, 0);
  const auto given_largest = static_cast<double>(codec::from_bits(engine.largest(given.data, given.rows * given.columns)));
  double squared_norm = 0;
  engine.read_sums({&squared_norm, 1});  // which is there when the largest is: one wait for both
  const double factor = std::min(1.0 / std::sqrt(squared_norm), 0x1p126);
  const double largest = factor * given_largest;
  // The largest element becomes about 2^14.
  const Matrix weight =
      memory.matrix(given.rows, given.columns, element, std::ldexp(1.0F, std::clamp(14 - std::ilogb(std::max(largest, 0x1p-46)), 14, 60)));
  engine.convert(given, static_cast<float>(factor), weight);
  return weight;
}

/// The way from a weight to a basis.  What is orthonormalised by products is of the weight's element: the sides of the basis
/// are copies there.
class Search {
 public:
  Search(MatrixEngine& engine, const Matrix& weight, Basis& basis, Orthonormaliser::Method method)
      : engine_(engine),
        memory_(engine),
        weight_(weight),
        basis_(basis),
        method_(method),
        element_(method == Orthonormaliser::Method::products ? weight.element : Element::single),
        left_(factor_for(basis.left)),
        right_(factor_for(basis.right)),
        orthonormaliser_(engine, memory_, {std::max(weight.rows, weight.columns), left_.columns, basis.rank, element_}, method) {
    if (element_ == weight.element) return;
    room_ = memory_.matrix(std::max(weight.rows, weight.columns), std::max(wide(), left_.columns), weight.element);
  }

  /// Sets the side of fewer rows to the leading singular vectors.
  void find_exactly(bool from_right) {
    const Matrix& known = from_right ? right_ : left_;
    clear(engine_, known);
    exact_side(engine_, weight_, known.columns_at(0, basis_.rank));
  }

  /// Sets the left side to the leading singular vectors within a larger random subspace (Halko, Martinsson and Tropp,
  /// algorithms 4.4 and 5.1).
  void find_in_random_subspace(int power_iterations, std::uint64_t seed) {
    const bool by_sign = engine_.prefers_products(wide()) && wide() > kFewRows;
    const bool is_exact = split_subspace(power_iterations, seed, by_sign);
    if (!is_exact) power(left_, right_, orthonormaliser_);
    if (by_sign || is_half()) make_orthonormal(left_, basis_.left);
  }

  /// Sets the side that is not known, how much of the weight the basis holds, and how far it leads out of itself.
  void complete(bool from_right) {
    const Matrix& known = from_right ? right_ : left_;
    const Matrix& other = from_right ? left_ : right_;
    to_other(known, from_right, other);
    engine_.add_up(other, other, kHeld);
    engine_.add_up(weight_, weight_, kAll);
    make_orthonormal(other, from_right ? basis_.left : basis_.right);
    Memory memory(engine_);
    const Matrix back = memory.matrix(known.rows, known.columns, known.element);
    const Matrix inside = memory.matrix(known.columns, known.columns, known.element);
    to_other(other, !from_right, back);
    engine_.add_up(back, back, kBack);
    engine_.multiply({.a = known, .transpose_a = true, .b = back, .c = inside});
    engine_.multiply({.a = known, .b = inside, .alpha = -1.0F, .beta = 1.0F, .c = back});
    engine_.add_up(back, back, kOutside);
    std::array<double, kRead> sums{};
    engine_.read_sums(sums);
    basis_.captured_energy = sums[kHeld] / sums[kAll];
    basis_.residual = sums[kBack] > 0 ? std::sqrt(sums[kOutside] / sums[kBack]) : 0;
  }

 private:
  /// Places of the sums that are read together.  The first two are those of the orthonormaliser, too.
  enum Sum : unsigned { kBack, kOutside, kHeld, kAll, kRead };

  [[nodiscard]] bool is_half() const { return element_ == Element::half; }
  [[nodiscard]] std::uint64_t wide() const { return oversampled(basis_.rank, weight_.rows, weight_.columns); }
  [[nodiscard]] Matrix factor_for(const Matrix& side) { return is_half() ? memory_.matrix(side.rows, side.columns, Element::half) : side; }

  /// left = W right or, of the other side, right = Wᵀ left.
  void to_other(const Matrix& side, bool is_right, const Matrix& other) {
    engine_.multiply({.a = weight_, .transpose_a = !is_right, .b = as_factor(side), .c = other});
  }
  [[nodiscard]] Matrix as_factor(const Matrix& side) {
    if (side.element == weight_.element) return side;
    const Matrix factor{room_.data, side.rows, side.columns, side.columns, room_.element, room_.unit};
    engine_.convert(side, 1.0F, factor);
    return factor;
  }
  /// Sets `out`, a side of the basis, to what is made of `side`, the copy of it that is multiplied.
  void make_orthonormal(const Matrix& side, const Matrix& out) {
    orthonormaliser_.apply_fully(side, out);
    if (side.data != out.data) engine_.convert(out, 1.0F, side);
  }
  /// left = W Wᵀ left, nearly: without the rough step between, directions would fall off with the square of their singular values,
  /// and those a hundred times smaller than the largest be lost in the next Gram matrix.
  void power(const Matrix& left, const Matrix& right, Orthonormaliser& orthonormaliser) {
    to_other(left, false, right);
    orthonormaliser.apply(right, Orthonormality::rough);
    to_other(right, true, left);
  }

  /// Draws a random subspace of the columns' space to the leading left singular vectors, and sets the left side to a basis
  /// of the most of it.  Returns whether by eigenvectors.
  bool split_subspace(int power_iterations, std::uint64_t seed, bool by_sign) {
    Memory memory(engine_);
    const std::uint64_t columns = wide();
    const Matrix left = memory.matrix(weight_.rows, columns, element_);
    const Matrix right = memory.matrix(weight_.columns, columns, element_);
    Orthonormaliser orthonormaliser(engine_, memory, {std::max(weight_.rows, weight_.columns), columns, columns, element_}, method_);
    engine_.fill_signs(right, seed);
    // A row of signs may add up to a multiple of the weight's norm, which is 1.
    engine_.multiply({.a = weight_, .b = as_factor(right), .alpha = 0x1p-4F, .c = left});
    for (int i = 0; i < power_iterations; ++i) {
      orthonormaliser.apply(left, Orthonormality::rough);
      power(left, right, orthonormaliser);
    }
    orthonormaliser.apply(left, by_sign || is_half() ? Orthonormality::close : Orthonormality::full);
    // Within the subspace, the largest directions by the small leftᵀ W Wᵀ left.
    to_other(left, false, right);
    const Matrix small = memory.matrix(columns, columns);
    engine_.multiply({.a = right, .transpose_a = true, .b = right, .c = small, .full_precision = true});
    const Matrix part = memory.matrix(columns, left_.columns);
    clear(engine_, part);
    const bool is_exact =
        leading_part(engine_, small, by_sign ? SplitMethod::sign : SplitMethod::eigenvectors, part.columns_at(0, basis_.rank));
    const Matrix factor = is_half() ? memory.matrix(columns, left_.columns, Element::half) : part;
    if (is_half()) engine_.convert(part, 1.0F, factor);
    engine_.multiply({.a = left, .b = factor, .c = left_, .full_precision = is_exact});
    return is_exact;
  }

  MatrixEngine& engine_;
  Memory memory_;
  Matrix weight_;
  Basis& basis_;
  Orthonormaliser::Method method_;
  Element element_;
  Matrix left_;
  Matrix right_;
  Matrix room_;  ///< for a side that is multiplied with a weight of another element
  Orthonormaliser orthonormaliser_;
};

/// How a basis is looked for.
struct Request {
  BasisMethod method;
  int power_iterations;
  std::uint64_t seed;
};

/// A basis that holds less of the weight leaves something in another direction, whatever the weight's rank is: products of
/// binary16 tell it to a thousandth.
constexpr double kNearlyAll = 0.99;

/// Fills a basis of its rank.
void find_basis(MatrixEngine& engine, const Matrix& given, const Request& request, Basis& basis) {
  const bool exact = request.method == BasisMethod::exact ||
                     (request.method == BasisMethod::automatic && prefers_exact(basis.rank, given.rows, given.columns));
  const bool from_right = exact && given.columns < given.rows;
  Memory scratch(engine);
  const Matrix weight = weight_as_factor(engine, scratch, given, exact ? Element::single : element_for(engine, given));
  // All singular values of an exact basis may be there, however small.
  Search search(
      engine, weight, basis,
      exact ? Orthonormaliser::Method::factors : Orthonormaliser::method_for(engine, oversampled(basis.rank, given.rows, given.columns)));
  if (exact) {
    search.find_exactly(from_right);
  } else {
    search.find_in_random_subspace(request.power_iterations, request.seed);
  }
  search.complete(from_right);
}

/// How many columns of a basis are directions of the weight, where it holds nearly all of it.
std::uint64_t directions_within(MatrixEngine& engine, const Matrix& given, const Basis& basis) {
  if (basis.rank == 1 || !(basis.captured_energy > kNearlyAll)) return basis.rank;
  Memory scratch(engine);
  return numerical_rank(engine, of_usual_size(engine, scratch, given).matrix, basis.left.columns_at(0, basis.rank));
}

/// The same memory for fewer columns, without gaps.
Matrix narrowed(const Matrix& side, std::uint64_t rank) {
  Matrix narrow = side;
  narrow.columns = narrow.stride = base::round_up(rank, kRowElements);
  return narrow;
}

}  // namespace

bool prefers_exact(std::uint64_t rank, std::uint64_t rows, std::uint64_t columns) {
  const std::uint64_t smaller = std::min(rows, columns);
  return smaller <= 64 || 2 * rank >= smaller;
}

int power_iterations(Effort effort, std::uint64_t rank, std::uint64_t rows, std::uint64_t columns) {
  const double usual_rank = RankOptions().top_p * static_cast<double>(std::min(rows, columns));
  const double times = std::clamp(usual_rank / static_cast<double>(std::max<std::uint64_t>(rank, 1)), 1.0, 3.0);
  return static_cast<int>(std::lround(numbers_of(effort).power_iterations * times));
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
  const std::uint64_t columns = base::round_up(rank, kRowElements);
  Basis basis{memory.matrix(given.rows, columns), memory.matrix(given.columns, columns), rank, rank};
  const Request request{method, power_iterations, seed};
  find_basis(engine, given, request, basis);
  const std::uint64_t directions = directions_within(engine, given, basis);
  if (directions == rank) return basis;
  basis.rank = directions;
  basis.left = narrowed(basis.left, directions);
  basis.right = narrowed(basis.right, directions);
  find_basis(engine, given, request, basis);
  return basis;
}

}  // namespace halftone::learn
