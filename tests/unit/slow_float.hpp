#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <halftone/codec/hd.hpp>

namespace halftone::test {

/// A small binary float computed the slow and obvious way: every value by its formula in double
/// precision, every code by a search in the table of values.  Shares no code with the codecs.
class SlowFloat {
 public:
  /// `overflow_code` is the code after the largest finite one.  Rounding treats it as the value
  /// that the formula gives it; what it means in the file is infinity or NaN.
  SlowFloat(int mantissa_bits, int bias, std::uint32_t overflow_code, std::uint32_t sign_bit)
      : mantissa_bits_(mantissa_bits), bias_(bias), overflow_code_(overflow_code), sign_bit_(sign_bit) {
    for (std::uint32_t code = 0; code <= overflow_code; ++code) values_.push_back(formula(code));
  }

  [[nodiscard]] std::uint32_t overflow_code() const { return overflow_code_; }
  [[nodiscard]] double largest() const { return values_[overflow_code_ - 1]; }
  /// The value of a magnitude code of at most overflow_code().
  [[nodiscard]] double value(std::uint32_t magnitude_code) const { return values_[magnitude_code]; }

  /// The code nearest to `x`, ties to the even code; everything above rounds to overflow_code().
  [[nodiscard]] std::uint32_t nearest(double x) const {
    const double magnitude = std::fabs(x);
    const std::uint32_t sign = std::signbit(x) ? sign_bit_ : 0;
    const auto above = std::upper_bound(values_.begin(), values_.end(), magnitude);
    if (above == values_.end()) return overflow_code_ | sign;
    const auto high = static_cast<std::uint32_t>(above - values_.begin());
    const double to_low = magnitude - values_[high - 1];
    const double to_high = values_[high] - magnitude;
    const bool take_low = to_low < to_high || (to_low == to_high && high % 2 == 1);
    return (take_low ? high - 1 : high) | sign;
  }

  /// Bit patterns of finite and infinite floats, of both signs: evenly spread ones, and for each
  /// pair of neighbouring codes the midpoint and the floats next to it.
  [[nodiscard]] std::vector<std::uint32_t> samples() const {
    // A prime stride visits all exponents and low bits; it gives 2^20 patterns.
    constexpr std::uint64_t stride = 4093;
    std::vector<std::uint32_t> patterns;
    const auto add = [&](std::uint32_t pattern) {
      if ((pattern & codec::kMagnitudeMask) <= codec::kInfinityBits) patterns.push_back(pattern);
    };
    for (std::uint64_t pattern = 0; pattern <= UINT32_MAX; pattern += stride) add(static_cast<std::uint32_t>(pattern));
    for (std::uint32_t code = 0; code < overflow_code_; ++code) {
      const std::uint32_t middle = codec::bits(static_cast<float>((values_[code] + values_[code + 1]) / 2));
      for (const std::uint32_t pattern : {middle - 1, middle, middle + 1}) {
        add(pattern);
        add(pattern | codec::kSignMask);
      }
    }
    for (const std::uint32_t edge : {0U, 1U, 0x007F'FFFFU, 0x0080'0000U, 0x7F7F'FFFFU, codec::kInfinityBits}) {
      add(edge);
      add(edge | codec::kSignMask);
    }
    return patterns;
  }

 private:
  [[nodiscard]] double formula(std::uint32_t code) const {
    const auto exponent = static_cast<int>(code >> mantissa_bits_);
    const double unit = std::ldexp(1.0, -mantissa_bits_);
    const double fraction = unit * static_cast<double>(code & ((1U << mantissa_bits_) - 1));
    return exponent == 0 ? std::ldexp(fraction, 1 - bias_) : std::ldexp(1.0 + fraction, exponent - bias_);
  }

  int mantissa_bits_;
  int bias_;
  std::uint32_t overflow_code_;
  std::uint32_t sign_bit_;
  std::vector<double> values_;
};

/// The first of `patterns` that `encode` and `expected` give different codes, in words, or "".
template <class Encode, class Expected>
std::string first_difference(const std::vector<std::uint32_t>& patterns, Encode encode, Expected expected) {
  for (const std::uint32_t pattern : patterns) {
    const float value = codec::from_bits(pattern);
    const std::uint32_t got = encode(value);
    const std::uint32_t want = expected(value);
    if (got != want) return fmt::format("{:a} (0x{:08X}) gives code 0x{:X}, 0x{:X} expected", value, pattern, got, want);
  }
  return {};
}

}  // namespace halftone::test
