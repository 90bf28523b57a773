#include "learn/orthonormal.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace halftone::learn {
namespace {

/// The scaling counts on values down to this, and leaves those at 1 as high: rounding may then move them a little beyond.
constexpr double kLeast = 0.02;
/// What a step takes values near 0 to.
constexpr double kGrowth = 2.57;
/// Rounds of steps, at most: the first sees the largest value only where one is far above the others.
constexpr int kRounds = 4;
/// For values near 1.
constexpr SignStep kNewtonSchulz{.linear = 1.5F, .cubic = 0.5F};

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
      scratch_(memory.matrix(extent.largest_rows, extent.columns)) {}

void Orthonormaliser::apply(const Matrix& a, Orthonormality wanted) {
  if (method_ == Method::products) return iterate(a, wanted);
  // A second pass makes orthonormal to rounding what one leaves a little oblique.
  factor(a);
  if (wanted != Orthonormality::rough) factor(a);
}

/// a := a L⁻ᵀ where L Lᵀ = aᵀ a.  The ridge keeps a Gram matrix that rounding has made singular positive definite.  Where
/// there is nothing in any direction, the columns become zero, a basis in which no loss is seen.
void Orthonormaliser::factor(const Matrix& a) {
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

/// Steps a := a (α I - β aᵀ a), of a divided by its norm.  A product in full precision is kept for the last one, which
/// squares what the others leave.
void Orthonormaliser::iterate(const Matrix& a, Orthonormality wanted) {
  const std::uint64_t bytes = a.rows * a.columns * sizeof(float);
  Matrix from = a;
  Matrix to = scratch_.rows_at(0, a.rows);
  const auto multiply = [&](SignStep step, bool is_precise) {
    engine_.add_to_diagonal(gram_, step.linear);
    engine_.multiply({.a = from, .b = gram_, .c = to, .full_precision = is_precise});
    std::swap(from, to);
  };
  const Goal goal = goal_of(wanted);
  double before = 0;
  for (int round = 0; round < kRounds; ++round) {
    engine_.multiply({.a = from, .transpose_a = true, .b = from, .c = gram_});
    Spread spread = spread_of(from, 1.0F);
    if (!(spread.largest > 0)) return engine_.clear(a.data, bytes);
    const auto scale = static_cast<float>(1.0 / std::sqrt(spread.largest));
    // As sums tell them: flatness = (Σ σ²)² / (n Σ σ⁴), and the largest σ² is taken to be (Σ σ⁴)^½.
    const double mean = std::sqrt(spread.flatness / filled_);
    const std::vector<SignStep> steps = steps_for(goal, mean);
    engine_.copy(from.data, to.data, bytes);
    engine_.multiply({.a = from, .b = gram_, .alpha = -scale * scale * scale * steps[0].cubic, .beta = scale * steps[0].linear, .c = to});
    std::swap(from, to);
    for (std::size_t i = 1; i < steps.size(); ++i) {
      engine_.multiply({.a = from, .transpose_a = true, .b = from, .alpha = -steps[i].cubic, .c = gram_});
      if (i + 1 == steps.size()) spread = spread_of(from, steps[i].cubic);
      multiply(steps[i], false);
    }
    // Missing directions keep it from 1.
    if (spread.flatness > goal.flatness || spread.flatness < 1.2 * before) break;
    before = spread.flatness;
  }
  if (wanted == Orthonormality::full) {
    engine_.multiply({.a = from, .transpose_a = true, .b = from, .alpha = -kNewtonSchulz.cubic, .c = gram_, .full_precision = true});
    multiply(kNewtonSchulz, true);
  }
  if (from.data != a.data) engine_.copy(from.data, a.data, bytes);
}

Orthonormaliser::Spread Orthonormaliser::spread_of(const Matrix& a, float multiple) {
  std::array<double, 2> sums{};
  engine_.add_up(a, a, 0);
  engine_.add_up(gram_, gram_, 1);
  engine_.read_sums(sums);
  const double trace = sums[0];
  const double norm = std::sqrt(sums[1]) / static_cast<double>(multiple);
  return {.largest = norm, .flatness = norm > 0 ? trace * trace / (norm * norm * filled_) : 0};
}

}  // namespace halftone::learn
