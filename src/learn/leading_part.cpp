#include "learn/leading_part.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "learn/memory.hpp"
#include "learn/orthonormal.hpp"

namespace halftone::learn {
namespace {

/// Eigenvalues are told apart then that differ by some 10^-5 of the norm,
constexpr int kSignSteps = 13;
constexpr int kRisingSteps = 5;
/// which is little enough for borders above this part of it.
constexpr double kLeastBorder = 3e-4;
/// Borders that are tried, at most, until the count of the eigenvalues above one is met but for this part.
constexpr int kBorders = 8;
constexpr double kTolerance = 0.01;
/// A first guess: how fast the logit of the count falls with the logarithm of the border.
constexpr double kSlope = -3.2;

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
        sign_(square(s.rows)),
        next_(square(s.rows)),
        squared_(square(s.rows)),
        diagonal_(s.rows) {
    engine.diagonal(s, diagonal_.data());
  }

  [[nodiscard]] double norm() const { return norm_; }
  [[nodiscard]] double mean() const { return trace() / static_cast<double>(s_.rows); }

  /// The number of eigenvalues above `border`; those near it count in part.
  [[nodiscard]] double count_above(double border) {
    engine_.convert(s_, static_cast<float>(1.0 / norm_), sign_, static_cast<float>(-border / norm_));
    for (const SignStep& step : steps_) {
      engine_.multiply({.a = sign_, .b = sign_, .c = squared_});
      engine_.multiply({.a = sign_, .b = squared_, .alpha = -step.cubic, .beta = step.linear, .added = sign_, .c = next_});
      std::swap(sign_, next_);
    }
    engine_.diagonal(sign_, diagonal_.data());
    return (trace() + static_cast<double>(s_.rows)) / 2.0;
  }

  /// The first columns of (I + sign) / 2.
  void write_projector(const Matrix& out) { engine_.convert(sign_.columns_at(0, out.columns), 0.5F, out, 0.5F); }

 private:
  [[nodiscard]] Matrix square(std::uint64_t rows) {
    return memory_.matrix(rows, rows, rows % kHalfMultiple == 0 ? engine_.factor_element() : Element::single);
  }
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
  Matrix squared_;
  std::vector<float> diagonal_;
  std::vector<SignStep> steps_ = sign_steps(kSignSteps, kRisingSteps);
};

/// Where to look for the border: by the line through the last two counts, as logits and logarithms, or in the middle of
/// what is known to hold it.
class BorderSearch {
 public:
  BorderSearch(double first, double wanted, double whole) : border_(first), whole_(whole), wanted_(logit(wanted, whole)) {}

  [[nodiscard]] double border() const { return border_; }

  void count_was(double count) {
    const double x = std::log(border_);
    const double y = logit(count, whole_);
    if (is_second_) slope_ = std::clamp((y - last_y_) / (x - last_x_), -20.0, -0.5);
    is_second_ = true;
    last_x_ = x;
    last_y_ = y;
    (y > wanted_ ? low_ : high_) = x;
    double next = x + (wanted_ - y) / slope_;
    const bool is_bounded = std::isfinite(low_) && std::isfinite(high_);
    if (is_bounded && !(low_ < next && next < high_)) next = (low_ + high_) / 2.0;
    border_ = std::exp(next);
  }

 private:
  double border_;
  double whole_;
  double wanted_;
  double slope_ = kSlope;
  bool is_second_ = false;
  double last_x_ = 0;
  double last_y_ = 0;
  double low_ = -std::numeric_limits<double>::infinity();
  double high_ = std::numeric_limits<double>::infinity();
};

/// Returns false where the border is too low for the sign, or was not found.
bool split_by_sign(MatrixEngine& engine, const Matrix& s, const Matrix& out) {
  Splitter splitter(engine, s);
  if (!(splitter.norm() > 0)) return false;
  const auto wanted = static_cast<double>(out.columns);
  BorderSearch search(splitter.mean(), wanted, static_cast<double>(s.rows));
  for (int i = 0; i < kBorders && search.border() > kLeastBorder * splitter.norm(); ++i) {
    const double count = splitter.count_above(search.border());
    if (std::abs(count - wanted) <= kTolerance * wanted) {
      splitter.write_projector(out);
      return true;
    }
    search.count_was(count);
  }
  return false;
}

}  // namespace

bool leading_part(MatrixEngine& engine, const Matrix& s, SplitMethod method, const Matrix& out) {
  if (method == SplitMethod::sign && split_by_sign(engine, s, out)) return false;
  engine.eigenvectors(s);
  // The last rows belong to the largest eigenvalues.
  engine.transpose(s.rows_at(s.rows - out.columns, out.columns), out);
  return true;
}

}  // namespace halftone::learn
