#include "learn/orthonormal.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace halftone::learn {
namespace {

/// The scaling counts on values down to this, and leaves those at 1 as high: rounding may then move them a little beyond.
constexpr double kLeast = 0.02;
/// What a step takes values near 0 to.
constexpr double kGrowth = 2.57;
/// Rounds of steps, at most: the first sees the largest value only where one is far above the others.
constexpr int kRounds = 4;
/// Of a Gram matrix, relative to the mean of its diagonal.
constexpr float kFirstRidge = 1e-6F;

/// How a round of steps goes on from where values of the mean square are near 1.
struct Goal {
  int more;         ///< steps for those below the mean
  int rising;       ///< as for sign_steps()
  double flatness;  ///< before the last step, or another round follows
};

Goal goal_of(Orthonormality wanted) {
  switch (wanted) {
    case Orthonormality::rough: return {.more = 0, .rising = 4, .flatness = 0.5};
    case Orthonormality::close: return {.more = 2, .rising = 6, .flatness = 0.8};
    case Orthonormality::full: return {.more = 6, .rising = 6, .flatness = 0.998};
  }
  return {};
}

/// The steps for values of a mean square of `mean`, where the largest is 1.
std::vector<SignStep> steps_for(const Goal& goal, double mean) {
  const int to_one = static_cast<int>(std::ceil(std::log(1.0 / std::sqrt(mean)) / std::log(kGrowth)));
  return sign_steps(std::clamp(to_one, 3, 10) + goal.more, goal.rising);
}

}  // namespace

std::vector<SignStep> sign_steps(int count, int rising) {
  std::vector<SignStep> steps;
  double low = kLeast;
  for (int i = 0; i < count; ++i) {
    const double slope = std::sqrt(3.0 / (1.0 + low + low * low));
    const double linear = 1.5 * slope;
    const double cubic = 0.5 * slope * slope * slope;
    steps.push_back({.linear = static_cast<float>(linear), .cubic = static_cast<float>(cubic)});
    if (i >= count - rising) low *= linear - cubic * low * low;
  }
  return steps;
}

Orthonormaliser::Orthonormaliser(MatrixEngine& engine, Memory& memory, const Extent& extent, Method method)
    : engine_(engine),
      method_(method),
      filled_(static_cast<double>(extent.filled)),
      gram_(memory.matrix(extent.columns, extent.columns)),
      small_(extent.element == Element::single ? gram_ : memory.matrix(extent.columns, extent.columns, extent.element)),
      scratch_(memory.matrix(extent.largest_rows, extent.columns, extent.element)) {}

void Orthonormaliser::apply(const Matrix& a, Orthonormality wanted) {
  if (wanted == Orthonormality::full) return apply_fully(a, a);
  if (method_ == Method::factors) {
    if (wanted != Orthonormality::rough) return apply_fully(a, a);
    const Matrix product = scratch_.rows_at(0, a.rows);
    factor(a, product);
    return engine_.copy(product.data, a.data, a.bytes());
  }
  const Matrix found = iterate(a, wanted);
  if (found.data != a.data) engine_.copy(found.data, a.data, a.bytes());
}

/// The last step, towards 1.5 a - 0.5 a aᵀ a, squares what the others leave.  Only the Gram matrix needs full precision
/// for it, and products of binary16 are exact.
void Orthonormaliser::apply_fully(const Matrix& a, const Matrix& out) {
  if (method_ == Method::factors) {
    // A second pass makes orthonormal to rounding what one leaves a little oblique.
    const Matrix product = scratch_.rows_at(0, a.rows);
    factor(a, product);
    return factor(product, out);
  }
  const Matrix from = iterate(a, Orthonormality::full);
  engine_.multiply({.a = from, .transpose_a = true, .b = from, .c = gram_, .full_precision = true});
  engine_.convert(gram_, 1.0F, small_, -1.0F);
  const bool is_single = from.element == Element::single;
  const Matrix to = is_single ? other_than(from, a) : out;
  engine_.convert(from, 1.0F, to);
  engine_.multiply({.a = from, .b = small_, .alpha = -0.5F, .beta = 1.0F, .c = to});
  if (to.data != out.data) engine_.copy(to.data, out.data, out.bytes());
}

/// out := a L⁻ᵀ where L Lᵀ = aᵀ a.  The ridge keeps a Gram matrix that rounding has made singular positive definite.  Where
/// there is nothing in any direction, the columns become zero, a basis in which no loss is seen.
void Orthonormaliser::factor(const Matrix& a, const Matrix& out) {
  const auto make_gram = [&] { engine_.multiply({.a = a, .transpose_a = true, .b = a, .c = gram_, .full_precision = true}); };
  make_gram();
  if (!engine_.invert_ridged_factor(gram_, kFirstRidge)) {
    float ridge = kFirstRidge;
    while (true) {
      engine_.add_ridge(gram_, ridge);
      if (engine_.cholesky(gram_)) break;
      ridge *= 10.0F;
      if (ridge > 1.0F) return engine_.clear(out.data, out.bytes());
      make_gram();
    }
    engine_.invert_lower(gram_);
  }
  engine_.multiply({.a = a, .b = gram_, .transpose_b = true, .c = out, .full_precision = true});
}

Matrix Orthonormaliser::other_than(const Matrix& from, const Matrix& a) const {
  return from.data == a.data ? scratch_.rows_at(0, a.rows) : a;
}

/// Steps a := a (α I - β aᵀ a), of a divided by its norm.
Matrix Orthonormaliser::iterate(const Matrix& a, Orthonormality wanted) {
  Matrix from = a;
  const auto step = [&](float linear, float cubic) {
    const Matrix to = other_than(from, a);
    engine_.multiply({.a = from, .b = small_, .alpha = -cubic, .beta = linear, .added = from, .c = to});
    from = to;
  };
  const Goal goal = goal_of(wanted);
  double before = 0;
  for (int round = 0; round < kRounds; ++round) {
    engine_.multiply({.a = from, .transpose_a = true, .b = from, .c = gram_});
    Spread spread = spread_of(from, gram_);
    if (!(spread.largest > 0)) {
      engine_.clear(from.data, a.bytes());
      return from;
    }
    const auto scale = static_cast<float>(1.0 / std::sqrt(spread.largest));
    // As sums tell them: flatness = (Σ σ²)² / (n Σ σ⁴), and the largest σ² is taken to be (Σ σ⁴)^½.
    const double mean = std::sqrt(spread.flatness / filled_);
    const std::vector<SignStep> steps = steps_for(goal, mean);
    engine_.convert(gram_, static_cast<float>(1.0 / spread.largest), small_);
    step(scale * steps[0].linear, scale * steps[0].cubic);
    for (std::size_t i = 1; i < steps.size(); ++i) {
      engine_.multiply({.a = from, .transpose_a = true, .b = from, .c = small_});
      if (i + 1 == steps.size()) spread = spread_of(from, small_);
      step(steps[i].linear, steps[i].cubic);
    }
    // Missing directions keep it from 1.
    if (spread.flatness > goal.flatness || spread.flatness < 1.2 * before) break;
    before = spread.flatness;
  }
  return from;
}

Orthonormaliser::Spread Orthonormaliser::spread_of(const Matrix& a, const Matrix& gram) {
  std::array<double, 2> sums{};
  engine_.add_up(a, a, 0);
  engine_.add_up(gram, gram, 1);
  engine_.read_sums(sums);
  const double norm = std::sqrt(sums[1]);
  return {.largest = norm, .flatness = norm > 0 ? sums[0] * sums[0] / (sums[1] * filled_) : 0};
}

}  // namespace halftone::learn
