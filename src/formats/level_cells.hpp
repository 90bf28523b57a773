#pragma once

#include <cmath>
#include <cstdint>

#include <halftone/codec/codebook.hpp>
#include <halftone/codec/quotient.hpp>

namespace halftone::formats {

/// The maths of a format that fits its scales (RowScaled), for 16 weights of one thread and with tables in place of the
/// comparisons with all 16 levels.
///
/// It gives what Format::fit() and Format::encode() give, for weights within kLargest; other groups are for these.
template <class Format>
class LevelCells {
 public:
  static constexpr std::uint32_t kWeights = 16;
  /// Below this no quotient or sum of a fit leaves the range of ordinary_quotient().
  static constexpr float kLargest = 1024.0F;
  /// Scales of a group between which at most one limit of its codes lies in a cell, and no code saturates.
  static constexpr float kSmallestScale = 13.0F;
  static constexpr float kLargestScale = 128.0F;

  /// The tables, filled.
  [[nodiscard]] static LevelCells made() {
    static_assert(limits_are_apart(), "two limits share a cell");
    LevelCells cells{};
    for (std::uint32_t cell = 0; cell < kCells; ++cell) {
      std::uint32_t before = 0;
      while (before < kLimits && offset_of(limit(before)) / 4 < cell) ++before;
      const bool has_limit = before < kLimits && offset_of(limit(before)) / 4 == cell;
      cells.limits_[cell] = has_limit ? limit(before) : codec::from_bits(codec::kInfinityBits);
      cells.below_[cell] = Format::level(before);
      cells.above_[cell] = Format::level(before < kLimits ? before + 1 : before);
    }
    for (std::uint32_t c = 0; c <= kLimits; ++c) cells.levels_[c] = Format::level(c);
    for (std::uint32_t cell = 0; cell < kCodeCells; ++cell) {
      std::uint32_t passed = 0;
      while (passed + 1 < kLimits && last_cell(passed) < cell) ++passed;  // the last limit is always compared
      cells.passed_[cell] = static_cast<std::uint8_t>(passed * 4);
    }
    return cells;
  }

  /// What Format::fit() gives for 16 weights, of which the two are the extremes, or 0 where no weight has their sign; raises `largest` like
  /// that.
  [[nodiscard]] HALFTONE_HD float fit(const float (&weights)[kWeights], float least, float most, float& largest) const {
    float scale = codec::larger(Format::kSmallest, codec::larger(most, -least));
    for (int round = 0; round < 2; ++round) scale = fitted_once(weights, scale);
    // The nearest level does not grow smaller where the weight does not, and neither do products with the scale.
    const float low = nearest(within_one(codec::ordinary_quotient(least, scale)));
    const float high = nearest(within_one(codec::ordinary_quotient(most, scale)));
    largest = codec::larger(largest, codec::magnitude(codec::larger(codec::magnitude(low), codec::magnitude(high)) * scale));
    return scale;
  }

  /// Whether code() serves groups with this scale.
  [[nodiscard]] static HALFTONE_HD bool serves(float scale) { return scale >= kSmallestScale && scale <= kLargestScale; }

  /// A code and its value.
  struct Code {
    std::uint32_t times_4;
    float value;
  };
  /// What Format::encode() and Format::decode() give where serves(scale); `inverse` is about kCodeFactor / scale.  `Beyond`:
  /// whether the weight may exceed kMostWeight times the scale, which the fitted one does not let happen.
  template <bool Beyond>
  [[nodiscard]] HALFTONE_HD Code code(float weight, float scale, float inverse) const {
    float place = std::fma(weight, inverse, kCodeOffset);
    if constexpr (Beyond) place = place < kFirstPlace ? kFirstPlace : place > kLastPlace ? kLastPlace : place;
    const std::uint32_t passed = passed_[codec::bits(place) & (kCodeCells - 1)];
    const float low = rounded(at(levels_, passed) * scale);
    const float high = rounded(at(levels_, passed + 4) * scale);
    const bool is_high = high - weight < weight - low;
    return {passed + (is_high ? 4U : 0U), is_high ? high : low};
  }
  static constexpr float kCodeFactor = 42.0F;
  static constexpr float kMostWeight = 1.5F;

 private:
  static constexpr std::uint32_t kLimits = 15;

  // Fits.  Weights over their scale go from -1 to 1 in the first round; in the second, whose scale is at least 0.85 times
  // the first one wherever the largest magnitude is the first scale, to 1.18.
  static constexpr std::uint32_t kCells = 32;
  static constexpr float kFactor = 13.0F;
  /// 2^21, whose unit in the last place is 1/4, and the cell of 0: the sum has the cell in the bits 2 to 6.
  static constexpr float kOffset = 2097152.0F + 16.0F;

  /// Limit `c` of the levels: the last number whose nearest level is `c` or one below.
  [[nodiscard]] static constexpr float limit(std::uint32_t c) {
    constexpr float limits[kLimits] = {between(0), between(1), between(2),  between(3),  between(4),  between(5),  between(6), between(7),
                                       between(8), between(9), between(10), between(11), between(12), between(13), between(14)};
    return limits[c];
  }
  [[nodiscard]] static constexpr float between(std::uint32_t c) {
    return codec::last_nearer_to_low(Format::level(c), Format::level(c + 1));
  }

  /// Of the cell of `value`, in bytes.
  [[nodiscard]] static HALFTONE_HD std::uint32_t offset_of(float value) {
    return codec::bits(std::fma(value, kFactor, kOffset)) & ((kCells - 1) * 4);
  }
  template <class T>
  [[nodiscard]] static HALFTONE_HD T at(const T* table, std::uint32_t offset) {
    return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(table) + offset);
  }

  // Codes.  2^23, whose unit in the last place is 1, and the cell of 0.  Weights go to 1.4 times the fitted scale of their
  // group, and E4M3 takes up to a 17th from that.
  static constexpr std::uint32_t kCodeCells = 128;
  static constexpr float kFirstPlace = 8388608.0F;
  static constexpr float kCodeOffset = kFirstPlace + 64.0F;
  static constexpr float kLastPlace = kFirstPlace + 127.0F;
  /// How far rounding to integers moves a limit, in units of the scale, and what covers the rounding of a cell.
  static constexpr float kBlur = 0.5F / kSmallestScale + 0.0005F;
  /// The last cell, by the middle of its two levels, in which limit `c` of the codes may lie.
  [[nodiscard]] static constexpr std::uint32_t last_cell(std::uint32_t c) {
    return static_cast<std::uint32_t>(((Format::level(c) + Format::level(c + 1)) * 0.5F + kBlur) * kCodeFactor + 64.5F);
  }
  [[nodiscard]] static constexpr std::uint32_t first_cell(std::uint32_t c) {
    return static_cast<std::uint32_t>(((Format::level(c) + Format::level(c + 1)) * 0.5F - kBlur) * kCodeFactor + 64.5F);
  }
  [[nodiscard]] static constexpr bool limits_are_apart() {
    for (std::uint32_t c = 1; c < kLimits; ++c) {
      // More than a cell apart they are, rounded to quarters of cells, at least one apart.
      if ((limit(c) - limit(c - 1)) * kFactor < 1.01F) return false;
      if (first_cell(c) <= last_cell(c - 1)) return false;
    }
    return true;
  }

  [[nodiscard]] static HALFTONE_HD float within_one(float value) { return value > 1.0F ? 1.0F : value < -1.0F ? -1.0F : value; }

  /// Rounded to an integer, ties to even, for magnitudes of at most 2^22.
  [[nodiscard]] static HALFTONE_HD float rounded(float value) {
    constexpr float magic = 12582912.0F;  // 1.5 * 2^23, whose unit in the last place is 1
    return (value + magic) - magic;
  }

  [[nodiscard]] HALFTONE_HD float nearest(float value) const {
    const std::uint32_t offset = offset_of(value);
    const float below = at(below_, offset);
    const float above = at(above_, offset);
    return value > at(limits_, offset) ? above : below;
  }

  struct Sums {
    float products;
    float squares;
  };
  /// The sums over the lanes First, First + Step, …, as halves of halves.
  template <std::uint32_t First, std::uint32_t Step>
  [[nodiscard]] HALFTONE_HD Sums sums(const float (&weights)[kWeights], float scale) const {
    if constexpr (Step == kWeights) {
      const float found = nearest(codec::ordinary_quotient(weights[First], scale));
      return {weights[First] * found, found * found};
    } else {
      const Sums low = sums<First, 2 * Step>(weights, scale);
      const Sums high = sums<First + Step, 2 * Step>(weights, scale);
      return {low.products + high.products, low.squares + high.squares};
    }
  }

  /// Format::fitted_once() of 16 weights: a lane for each, and their sums by halves.
  [[nodiscard]] HALFTONE_HD float fitted_once(const float (&weights)[kWeights], float scale) const {
    const Sums all = sums<0, 1>(weights, scale);
    // No level is 0: the sum of squares is far above the smallest.
    return codec::larger(codec::ordinary_quotient(all.products, all.squares), Format::kSmallest);
  }

  float limits_[kCells];
  float below_[kCells];
  float above_[kCells];
  float levels_[kLimits + 1];
  std::uint8_t passed_[kCodeCells];
};

}  // namespace halftone::formats
