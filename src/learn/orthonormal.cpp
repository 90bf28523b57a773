#include "learn/orthonormal.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace halftone::learn {
namespace {

/// The scaling counts on values down to this, and leaves those at 1 as high: rounding may then move them a little beyond.
constexpr double kLeast = 0.02;
/// After so many steps from there, values are near 1.
constexpr int kLastSteps = 5;

/// A product with a weight spreads singular values by the ratio of its own, of which some hundred are made up for.
constexpr int kRoughSteps = 6;
/// And some thousand at the end.
constexpr int kFullSteps = 11;
/// For values near 1.
constexpr SignStep kNewtonSchulz{.linear = 1.5F, .cubic = 0.5F};

}  // namespace

std::vector<SignStep> sign_steps(int count) {
  std::vector<SignStep> steps;
  double low = kLeast;
  for (int i = 0; i < count; ++i) {
    const double slope = std::sqrt(3.0 / (1.0 + low + low * low));
    const double linear = 1.5 * slope;
    const double cubic = 0.5 * slope * slope * slope;
    steps.push_back({.linear = static_cast<float>(linear), .cubic = static_cast<float>(cubic)});
    if (i >= count - kLastSteps) low *= linear - cubic * low * low;
  }
  return steps;
}

Orthonormaliser::Orthonormaliser(MatrixEngine& engine, Memory& memory, std::uint64_t largest_rows, std::uint64_t columns, Method method)
    : engine_(engine), method_(method), gram_(memory.matrix(columns, columns)), scratch_(memory.matrix(largest_rows, columns)) {}

void Orthonormaliser::apply(const Matrix& a, Orthonormality wanted) {
  if (method_ == Method::products) return iterate(a, wanted);
  // A second pass makes orthonormal to rounding what one leaves a little oblique.
  factor(a);
  if (wanted == Orthonormality::full) factor(a);
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

/// Steps a := a (α I - β aᵀ a), the first of a / ‖aᵀ a‖^½.  A product in full precision is kept for the last one, which
/// squares what the others leave.
void Orthonormaliser::iterate(const Matrix& a, Orthonormality wanted) {
  const bool is_full = wanted == Orthonormality::full;
  std::vector<SignStep> steps = sign_steps(is_full ? kFullSteps : kRoughSteps);
  if (is_full) steps.push_back(kNewtonSchulz);
  Matrix from = a;
  Matrix to = scratch_.rows_at(0, a.rows);
  engine_.multiply({.a = from, .transpose_a = true, .b = from, .c = gram_});
  const double norm = std::sqrt(engine_.squared_norm(gram_));
  if (!(norm > 0)) return engine_.clear(a.data, a.rows * a.columns * sizeof(float));
  const auto scale = static_cast<float>(1.0 / std::sqrt(norm));
  engine_.copy(from.data, to.data, a.rows * a.columns * sizeof(float));
  engine_.multiply({.a = from, .b = gram_, .alpha = -scale * scale * scale * steps[0].cubic, .beta = scale * steps[0].linear, .c = to});
  std::swap(from, to);
  for (std::size_t i = 1; i < steps.size(); ++i) {
    const bool is_precise = is_full && i + 1 == steps.size();
    engine_.multiply({.a = from, .transpose_a = true, .b = from, .alpha = -steps[i].cubic, .c = gram_, .full_precision = is_precise});
    engine_.add_to_diagonal(gram_, steps[i].linear);
    engine_.multiply({.a = from, .b = gram_, .c = to, .full_precision = is_precise});
    std::swap(from, to);
  }
  if (from.data != a.data) engine_.copy(from.data, a.data, a.rows * a.columns * sizeof(float));
}

}  // namespace halftone::learn
