#include "eval/error_figures.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace halftone {

void eval::accumulate(ErrorFigures& sum, const float* original, const float* other, std::uint64_t n) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (std::uint64_t i = 0; i < n; ++i) {
    const double a = original[i];
    const double b = other[i];
    const double difference = b - a;
    sum.signal += a * a;
    sum.energy += b * b;
    sum.dot += a * b;
    sum.noise += difference * difference;
    sum.max_abs = std::isnan(difference) ? nan : std::max(sum.max_abs, std::fabs(difference));
    sum.peak = std::max(sum.peak, std::fabs(a));
  }
  sum.elements += n;
}

namespace {
constexpr double kInfinity = std::numeric_limits<double>::infinity();
}  // namespace

void ErrorFigures::add(const ErrorFigures& other) noexcept {
  signal += other.signal;
  noise += other.noise;
  energy += other.energy;
  dot += other.dot;
  max_abs = std::isnan(other.max_abs) ? other.max_abs : std::max(max_abs, other.max_abs);
  peak = std::max(peak, other.peak);
  elements += other.elements;
}

double ErrorFigures::mse() const noexcept { return elements == 0 ? 0 : noise / static_cast<double>(elements); }
double ErrorFigures::sqnr_db() const noexcept { return noise == 0 ? kInfinity : 10 * std::log10(signal / noise); }
double ErrorFigures::psnr_db() const noexcept { return noise == 0 ? kInfinity : 10 * std::log10(peak * peak / mse()); }
double ErrorFigures::cosine() const noexcept {
  if (signal == 0 && energy == 0) return 1;
  return std::clamp(dot / std::sqrt(signal * energy), -1.0, 1.0);  // rounding may lead a little beyond
}
double ErrorFigures::rel_l2() const noexcept { return noise == 0 ? 0 : std::sqrt(noise / signal); }

}  // namespace halftone
