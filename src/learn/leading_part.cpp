#include "learn/leading_part.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "learn/memory.hpp"
#include "learn/orthonormal.hpp"

namespace halftone::learn {
namespace {

/// Eigenvalues are told apart then that differ by some 10^-5 of the norm.
constexpr int kSignSteps = 12;
/// Borders that are tried, at most, until the count of the eigenvalues above one is met but for this part.
constexpr int kBorders = 6;
constexpr double kTolerance = 0.025;

void clear(MatrixEngine& engine, const Matrix& a) { engine.clear(a.data, a.rows * a.columns * sizeof(float)); }

/// log(part / (whole - part)), in which counts of eigenvalues are nearly linear in the logarithm of a border.
double logit(double part, double whole) {
  const double inside = std::clamp(part, 0.5, whole - 0.5);
  return std::log(inside / (whole - inside));
}

/// sign(S - border · I), nearly, and how many eigenvalues are above the border.
class Splitter {
 public:
  Splitter(MatrixEngine& engine, const Matrix& s)
      : engine_(engine),
        memory_(engine),
        s_(s),
        norm_(std::sqrt(engine.squared_norm(s))),
        sign_(memory_.matrix(s.rows, s.rows)),
        next_(memory_.matrix(s.rows, s.rows)),
        polynomial_(memory_.matrix(s.rows, s.rows)),
        diagonal_(s.rows) {
    engine.diagonal(s, diagonal_.data());
  }

  [[nodiscard]] double norm() const { return norm_; }
  [[nodiscard]] double mean() const { return trace() / static_cast<double>(s_.rows); }

  /// The number of eigenvalues above `border`; those near it count in part.
  [[nodiscard]] double count_above(double border) {
    clear(engine_, sign_);
    engine_.add_scaled(s_, static_cast<float>(1.0 / norm_), sign_);
    engine_.add_to_diagonal(sign_, static_cast<float>(-border / norm_));
    for (const SignStep& step : steps_) {
      engine_.multiply({.a = sign_, .b = sign_, .alpha = -step.cubic, .c = polynomial_});
      engine_.add_to_diagonal(polynomial_, step.linear);
      engine_.multiply({.a = sign_, .b = polynomial_, .c = next_});
      std::swap(sign_, next_);
    }
    engine_.diagonal(sign_, diagonal_.data());
    return (trace() + static_cast<double>(s_.rows)) / 2.0;
  }

  /// The first columns of (I + sign) / 2.
  void write_projector(const Matrix& out) {
    engine_.add_scaled(sign_.columns_at(0, out.columns), 0.5F, out);
    engine_.add_to_diagonal(out, 0.5F);
  }

 private:
  [[nodiscard]] double trace() const {
    return std::accumulate(diagonal_.begin(), diagonal_.end(), 0.0,
                           [](double sum, float value) { return sum + static_cast<double>(value); });
  }

  MatrixEngine& engine_;
  Memory memory_;
  Matrix s_;
  double norm_;
  Matrix sign_;
  Matrix next_;
  Matrix polynomial_;
  std::vector<float> diagonal_;
  std::vector<SignStep> steps_ = sign_steps(kSignSteps);
};

void split_by_sign(MatrixEngine& engine, const Matrix& s, const Matrix& out) {
  Splitter splitter(engine, s);
  if (!(splitter.norm() > 0)) return;
  const auto whole = static_cast<double>(s.rows);
  const auto wanted = static_cast<double>(out.columns);
  double border = splitter.mean();
  double slope = -2.0;  // of the logit by the logarithm of the border
  double last_logit = 0;
  double last_border = 0;
  for (int i = 0; i < kBorders; ++i) {
    const double count = splitter.count_above(border);
    if (std::abs(count - wanted) <= kTolerance * wanted) break;
    const double found = logit(count, whole);
    if (i > 0) slope = std::clamp((found - last_logit) / std::log(border / last_border), -20.0, -0.5);
    last_logit = found;
    last_border = border;
    border *= std::exp((logit(wanted, whole) - found) / slope);
  }
  splitter.write_projector(out);
}

}  // namespace

void leading_part(MatrixEngine& engine, const Matrix& s, SplitMethod method, const Matrix& out) {
  if (method == SplitMethod::sign) return split_by_sign(engine, s, out);
  engine.eigenvectors(s);
  // The last rows belong to the largest eigenvalues.
  engine.transpose(s.rows_at(s.rows - out.columns, out.columns), out);
}

}  // namespace halftone::learn
