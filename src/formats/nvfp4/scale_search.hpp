#pragma once

#include <cmath>

#include <halftone/codec/minifloat.hpp>
#include <halftone/codec/quotient.hpp>

#include "formats/nvfp4/format.hpp"

namespace halftone::formats::nvfp4 {

/// The search among Format::candidate() for one run, in fewer steps than by trying all of them.  It gives the same scale.
///
/// First it estimates the errors with operations that round less often.  Estimates and errors differ by less than a
/// ten-thousandth, and 1e-6 of the square of the scale: a division and three roundings move no difference by more than
/// 1.2e-6 of the scale.  Only scales between which this leaves a choice are tried as Format::nearest() has it.
class ScaleSearch {
 public:
  static constexpr std::uint32_t kWeights = Format::kRun;

  /// The scale of least squared error for weights of these magnitudes, of which `amax` is the largest, under the scale
  /// `tensor` of the whole weight.
  [[nodiscard]] static HALFTONE_HD ByteScale best(const float (&magnitudes)[kWeights], float amax, float tensor) {
    const ByteScale plain = Format::scale_from_amax(amax, tensor);
    const Range range{Format::candidate(amax, tensor, 1).stored, Format::candidate(amax, tensor, Format::kCandidates - 1).stored};
    // Then every scale but 0 is an ordinary divisor, and no square leaves the range of normal numbers.
    const bool ordinary = tensor >= 0x1p-40F && tensor <= 0x1p+40F;
    if (!ordinary || range.first == 0 || plain.stored == 0) return tried(magnitudes, tensor, plain, range);
    const Least least = estimated(magnitudes, amax, tensor, plain, range);
    const float limit = least.errors[0] * kRelative + amax * amax * kAbsolute;
    if (least.errors[2] <= limit) return tried(magnitudes, tensor, plain, range);
    if (least.errors[1] <= limit) return better(magnitudes, tensor, plain, least.codes[0], least.codes[1]);
    return {Format::decode_operand(least.codes[0], tensor), least.codes[0]};
  }

  /// What one weight adds to the squared error with a scale of 0, or one that is an ordinary divisor.
  [[nodiscard]] static HALFTONE_HD float squared_error_of(float magnitude, float scale) {
    const float value = nearest<true>(magnitude, scale);
    const float difference = (scale > 0.0F ? value : 0.0F) - magnitude;
    return difference * difference;
  }

 private:
  /// Twice the difference of an estimate; scales are less than 0.4 times the largest magnitude.
  static constexpr float kRelative = 1.0002F;
  static constexpr float kAbsolute = 4e-7F;
  /// Codes of scales that a search may go away from the plain one, on each side.
  static constexpr int kMostApart = Format::kCandidates - 2;

  /// The codes of the scales to try beside the plain one.
  struct Range {
    int first;
    int last;
  };
  /// The three least estimates, and the codes of the scales that have the first two.
  struct Least {
    float errors[3];
    std::uint8_t codes[2];

    HALFTONE_HD void add(float error, std::uint8_t code) {
      errors[2] = error < errors[1] ? errors[1] : std::fmin(error, errors[2]);
      const bool first = error < errors[0];
      const bool second = error < errors[1];
      errors[1] = first ? errors[0] : second ? error : errors[1];
      codes[1] = first ? codes[0] : second ? code : codes[1];
      errors[0] = first ? error : errors[0];
      codes[0] = first ? code : codes[0];
    }
  };

  [[nodiscard]] static HALFTONE_HD Least estimated(const float (&magnitudes)[kWeights], float amax, float tensor, const ByteScale& plain,
                                                   const Range& range) {
    constexpr float infinity = codec::from_bits(codec::kInfinityBits);
    const float of_plain = estimate<0, 1>(magnitudes, 1.0F / plain.encode) * (plain.encode * plain.encode);
    Least least{{of_plain, infinity, infinity}, {plain.stored, plain.stored}};
    // Counted from the plain scale, so that neighbouring runs try and leave away the same.
    for (int apart = -kMostApart; apart <= kMostApart; ++apart) {
      const int code = plain.stored + apart;
      if (apart == 0 || code < range.first || code > range.last) continue;
      const auto stored = static_cast<std::uint8_t>(code);
      const float scale = Format::decode_operand(stored, tensor);
      // The error is at least that of the largest weight.
      const float clipped = codec::E2M1::max_value() * scale - amax;
      if (clipped < 0.0F && clipped * clipped > least.errors[0] * kRelative + amax * amax * kAbsolute) continue;
      least.add(estimate<0, 1>(magnitudes, 1.0F / scale) * (scale * scale), stored);
    }
    return least;
  }

  /// About the squared error of the weights First, First + Step, …, in units of the scale.
  template <std::uint32_t First, std::uint32_t Step>
  [[nodiscard]] static HALFTONE_HD float estimate(const float (&magnitudes)[kWeights], float inverse) {
    if constexpr (Step >= 4) {
      float sum = 0.0F;
      for (std::uint32_t l = First; l < kWeights; l += Step) {
        const float value = magnitudes[l] * inverse;
        const float difference = std::fmin(rounded(value), codec::E2M1::max_value()) - value;
        sum = std::fma(difference, difference, sum);
      }
      return sum;
    } else {
      const float low = estimate<First, 2 * Step>(magnitudes, inverse);
      return low + estimate<First + Step, 2 * Step>(magnitudes, inverse);
    }
  }

  /// Rounded to a step of the codes; beyond them, to what their steps would be.
  [[nodiscard]] static HALFTONE_HD float rounded(float value) {
    // Adding 2^22 times its power of two, at least 1, rounds to the step.
    const float power = std::fmax(codec::from_bits(codec::bits(value) & codec::kInfinityBits), 1.0F);
    return std::fma(power, -0x1p22F, std::fma(power, 0x1p22F, value));
  }

  /// The better one of two ordinary scales; of equally good ones the plain one or the smaller.
  [[nodiscard]] static HALFTONE_HD ByteScale better(const float (&magnitudes)[kWeights], float tensor, const ByteScale& plain,
                                                    std::uint8_t one, std::uint8_t other) {
    const bool in_order = one == plain.stored || (other != plain.stored && one < other);
    const std::uint8_t codes[2] = {in_order ? one : other, in_order ? other : one};
    const float scales[2] = {Format::decode_operand(codes[0], tensor), Format::decode_operand(codes[1], tensor)};
    const float first = squared_error<true, 0, 1>(magnitudes, scales[0]);
    const bool second = squared_error<true, 0, 1>(magnitudes, scales[1]) < first;
    return {second ? scales[1] : scales[0], second ? codes[1] : codes[0]};
  }

  [[nodiscard]] static HALFTONE_HD ByteScale tried(const float (&magnitudes)[kWeights], float tensor, const ByteScale& plain,
                                                   const Range& range) {
    ByteScale best = plain;
    float least = squared_error<false, 0, 1>(magnitudes, best.encode);
    for (int code = range.first; code <= range.last; ++code) {
      if (code == plain.stored) continue;
      const auto stored = static_cast<std::uint8_t>(code);
      const float scale = Format::decode_operand(stored, tensor);
      const float error = squared_error<false, 0, 1>(magnitudes, scale);
      if (!(error < least)) continue;
      least = error;
      best = {scale, stored};
    }
    return best;
  }

  /// The sum of (value - weight)² over the weights First, First + Step, …: a lane for each, and their sums by halves
  /// (KernelTable::squared_error).
  template <bool Ordinary, std::uint32_t First, std::uint32_t Step>
  [[nodiscard]] static HALFTONE_HD float squared_error(const float (&magnitudes)[kWeights], float scale) {
    if constexpr (Step == kWeights) {
      const float difference = nearest<Ordinary>(magnitudes[First], scale) - magnitudes[First];
      return difference * difference;
    } else {
      const float low = squared_error<Ordinary, First, 2 * Step>(magnitudes, scale);
      return low + squared_error<Ordinary, First + Step, 2 * Step>(magnitudes, scale);
    }
  }

  /// Format::nearest() of a magnitude; `Ordinary`: for a scale that is an ordinary divisor.
  template <bool Ordinary>
  [[nodiscard]] static HALFTONE_HD float nearest(float magnitude, float scale) {
    if constexpr (!Ordinary) return Format::nearest(magnitude, scale, scale);
    return rounded(std::fmin(codec::ordinary_quotient(magnitude, scale), codec::E2M1::max_value())) * scale;
  }
};

}  // namespace halftone::formats::nvfp4
