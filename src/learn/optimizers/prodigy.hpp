#pragma once

#include <cmath>
#include <cstdint>

#include <halftone/codec/half.hpp>
#include <halftone/codec/hd.hpp>

#include "learn/optimizers/usual_optimizer.hpp"
#include "learn/schedule.hpp"

namespace halftone::learn {

/// Prodigy (Mishchenko and Defazio, 2024) as in ProdigyPlusScheduleFree 2.0.1: second moments factored into rows and
/// columns, updates clipped by their root mean square (StableAdamW), a step size d that only grows, and, if asked for,
/// schedule-free averages or the "speed" estimate of d.  Without weight decay; the variable starts at 0.
///
/// A step is three passes over the elements:
///   1. sums of squared gradients, and of every kSampling-th element what d is estimated from: Sums, decayed_sum();
///      then finish_sums(), and second_moment() of each row and column;
///   2. first_moment(), and the sum of the squares of update();
///   3. move(), with clip() of that sum.
/// The second moment of an element is row · column / mean, whatever the shape.  (The library leaves the rows out where a
/// matrix is taller than wide.)
struct Prodigy : UsualOptimizer {
  static constexpr int kMoments = 2;  ///< the first moment, or z of a schedule-free run; the second one of small weights
  static constexpr UsualIterations kUsualIterations{.cpu = 740, .gpu = 440};  ///< on a GPU its loss has no floor of rounding
  static constexpr bool kElementwise = false;
  static constexpr bool kHasVariants = true;
  static constexpr std::uint32_t kWarmUp = 50;
  static constexpr bool kKeepsGradient = true;

  static constexpr double kBeta1 = 0.9;
  static constexpr double kBeta2 = 0.99;
  static constexpr double kFirstD = 1e-6;
  static constexpr float kEpsilon = 1e-8F;
  /// d is estimated from the elements whose place, row by row, is a multiple of this.
  static constexpr std::uint64_t kSampling = 11;
  /// Second moments of weights with both dimensions below this are kept for each element.
  static constexpr std::uint64_t kSmallestFactored = 32;

  struct Scalars {
    double d;       ///< of the present step
    double next_d;  ///< 0 before the first step
    double numerator;
    double previous_numerator;
    double largest_numerator;
    double average_dot;  ///< speed: moving average of ⟨gradient, -x⟩
    double largest_l1;   ///< speed: of the distances from the start so far
    double largest_l2;
    double weights;  ///< schedule-free: Σ (d · rate)²
    std::uint32_t steps;
    float rate;             ///< d · rate
    float gradient_factor;  ///< of the gradient in the first moment
    float square_factor;    ///< of the mean squares in the second moment
    float decayed_factor;   ///< of the gradient in the decayed sum
    float epsilon;
    float toward_z;  ///< schedule-free: how far y moves to z
    float y_rate;    ///< schedule-free: d · rate · the part of the update that y takes
  };

  /// What d is estimated from, over the sampled elements; the first two unless `speed`.
  struct Sums {
    double dot;      ///< Σ gradient · -x
    double decayed;  ///< Σ |decayed sum|
    double l1;       ///< Σ |x|
    double squares;  ///< Σ x²
  };

  [[nodiscard]] static HALFTONE_HD bool is_factored(std::uint64_t rows, std::uint64_t columns) {
    return rows >= kSmallestFactored || columns >= kSmallestFactored;
  }

  static HALFTONE_HD void prepare(Scalars& s, const OptimizerVariant& variant, const LoopState& state) {
    s.d = s.steps == 0 ? kFirstD : s.next_d;
    ++s.steps;
    const double rate = s.d * state.previous_rate;
    s.rate = static_cast<float>(rate);
    s.gradient_factor = static_cast<float>(variant.schedule_free ? s.d : (1.0 - kBeta1) * s.d);
    s.square_factor = static_cast<float>((1.0 - kBeta2) * s.d * s.d);
    s.decayed_factor = static_cast<float>(s.d * s.d / std::sqrt(kFirstD));
    s.epsilon = static_cast<float>(s.d * static_cast<double>(kEpsilon));
    s.weights += rate * rate;
    const double part = s.weights > 0 ? rate * rate / s.weights : 0.0;
    s.toward_z = static_cast<float>(part);
    s.y_rate = static_cast<float>(rate * (1.0 - kBeta1 * (1.0 - part)));
  }

  // Pass 1.

  /// The decayed sum of the gradients of one element, kept in bfloat16.
  [[nodiscard]] static HALFTONE_HD float decayed_sum(const Scalars& s, float sum, float gradient) {
    const float decayed = rounded(sum * static_cast<float>(kBeta3));
    return rounded(decayed + s.decayed_factor * gradient);
  }
  HALFTONE_HD static void add_to_plain(Sums& sums, float x, float gradient, float decayed) {
    sums.dot += static_cast<double>(gradient) * static_cast<double>(-x);
    sums.decayed += static_cast<double>(codec::magnitude(decayed));
  }
  HALFTONE_HD static void add(Sums& sums, float x, float gradient, float decayed) {
    add_to_plain(sums, x, gradient, decayed);
    sums.l1 += static_cast<double>(codec::magnitude(x));
    sums.squares += static_cast<double>(x) * static_cast<double>(x);
  }
  HALFTONE_HD static void add(Sums& sums, const Sums& more) {
    sums.dot += more.dot;
    sums.decayed += more.decayed;
    sums.l1 += more.l1;
    sums.squares += more.squares;
  }
  /// Estimates the d of the next step.
  static HALFTONE_HD void finish_sums(Scalars& s, const OptimizerVariant& variant, const Sums& sums) {
    const double update = s.d * s.d / std::sqrt(kFirstD);
    const double added = variant.speed ? progress(s, sums, update) : update * sums.dot;
    s.previous_numerator = s.numerator;
    s.numerator *= kBeta3;
    if (s.d > kFirstD || added > 0) s.numerator += added;
    s.largest_numerator = higher(s.largest_numerator, s.numerator);
    s.next_d = s.d;
    if (variant.speed) {
      if (s.numerator < s.largest_numerator || s.numerator <= 0 || s.previous_numerator <= 0) return;
      s.next_d = higher(s.d, s.d * lower(kFastestGrowth, std::sqrt(s.numerator / s.previous_numerator)));
    } else if (const double denominator = rounded(static_cast<float>(sums.decayed)); denominator > 0) {
      s.next_d = higher(s.d, lower(s.d * kFastestGrowth, s.numerator / denominator));
    }
  }
  [[nodiscard]] static HALFTONE_HD float second_moment(const Scalars& s, float moment, float mean_square) {
    return moment * static_cast<float>(kBeta2) + s.square_factor * mean_square;
  }

  // Pass 2.

  [[nodiscard]] static HALFTONE_HD float first_moment(const Scalars& s, float moment, float gradient) {
    return moment * static_cast<float>(kBeta1) + s.gradient_factor * gradient;
  }
  /// The factors of the root of an element's second moment; `mean`: of the moments of rows.
  [[nodiscard]] static HALFTONE_HD float row_root(float row, float mean) { return std::sqrt(row / (mean + 1e-30F)); }
  [[nodiscard]] static HALFTONE_HD float column_root(float column) { return std::sqrt(column); }
  /// `root`: of the second moment.
  [[nodiscard]] static HALFTONE_HD float update(const Scalars& s, float numerator, float root) { return numerator / (root + s.epsilon); }

  // Pass 3.

  /// What every update is multiplied with, by the sum of their squares.
  [[nodiscard]] static HALFTONE_HD float clip(double sum_of_squares, std::uint64_t elements) {
    const double root_mean_square = std::sqrt(sum_of_squares / static_cast<double>(elements));
    return static_cast<float>(1.0 / std::sqrt(higher(root_mean_square, 1.0)));
  }
  [[nodiscard]] static HALFTONE_HD float move(const Scalars& s, float x, float clipped) { return x - s.rate * clipped; }
  /// The same of a schedule-free run, whose variable is y.
  static HALFTONE_HD void move_both(const Scalars& s, float& y, float& z, float clipped) {
    y = y + s.toward_z * (z - y) - s.y_rate * clipped;
    z -= s.rate * clipped;
  }
  /// What a schedule-free run has found when it is at (y, z): the average of the z.
  [[nodiscard]] static HALFTONE_HD float average(float y, float z) { return y + static_cast<float>(1.0 - 1.0 / kBeta1) * (z - y); }

 private:
  static constexpr double kBeta3 = 0.99498743710662;            // √kBeta2
  static constexpr double kFastestGrowth = 1.1892071150027210;  // 2^¼

  [[nodiscard]] static HALFTONE_HD float rounded(float value) { return codec::Bf16::decode(codec::Bf16::encode(value)); }
  [[nodiscard]] static HALFTONE_HD double higher(double a, double b) { return a > b ? a : b; }
  [[nodiscard]] static HALFTONE_HD double lower(double a, double b) { return a < b ? a : b; }

  /// speed: what is added to the numerator.  Distances never count less than the longest so far.
  [[nodiscard]] static HALFTONE_HD double progress(Scalars& s, const Sums& sums, double update) {
    constexpr double shortest = 1e-8;
    const double kept = 1.0 - std::pow(static_cast<double>(s.steps), -0.75);
    s.average_dot = s.steps == 1 ? sums.dot : s.average_dot * kept + sums.dot * (1.0 - kept);
    s.largest_l1 = higher(higher(s.largest_l1, sums.l1), shortest);
    s.largest_l2 = higher(higher(s.largest_l2, std::sqrt(sums.squares)), shortest);
    return update / ((s.largest_l2 + 1.0) * (s.largest_l2 + 1.0)) * (s.average_dot / s.largest_l1);
  }
};

}  // namespace halftone::learn
