#pragma once

#include <cmath>
#include <cstdint>

#include <halftone/codec/quotient.hpp>

#include "formats/level_limits.hpp"

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

  using Limits = LevelLimits<Format>;
  static constexpr std::uint32_t kLimits = Limits::kLimits;

  /// The tables, filled.
  [[nodiscard]] static LevelCells made() {
    static_assert(limits_are_apart(), "two limits share a cell");
    LevelCells cells{};
    for (std::uint32_t cell = 0; cell < kCells; ++cell) {
      std::uint32_t before = 0;
      while (before < kLimits && offset_of(Limits::limit(before)) / 4 < cell) ++before;
      const bool has_limit = before < kLimits && offset_of(Limits::limit(before)) / 4 == cell;
      cells.limits_[cell] = has_limit ? Limits::limit(before) : codec::from_bits(codec::kInfinityBits);
      cells.below_[cell] = Format::level(before);
    }
    cells.below_[kCells] = Format::level(kLimits);
    for (std::uint32_t c = 0; c <= kLimits; ++c) cells.levels_[c] = Format::level(c);
    for (std::uint32_t cell = 0; cell < kLikelyCells; ++cell) {
      std::uint32_t passed = 0;
      while (passed + 1 < kLimits && likely_cell(passed, kLikelyBlur) < cell) ++passed;  // the last limit is always compared
      cells.low_halves_[cell] = half_with_code(passed);
      cells.high_halves_[cell] = half_with_code(passed + 1);
    }
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
    for (int round = 0; round < 2; ++round) scale = fitted(sums<0, 1>(Quotients{scale}, weights));
    return raised(scale, least, most, largest);
  }

  /// What fit() gives wherever no weight over its scale is close to a limit.
  struct LikelyFit {
    float scale;
    float apart;  ///< of the quotient that is closest to a limit; below kCloseQuotient the scale may be another
  };
  [[nodiscard]] HALFTONE_HD LikelyFit likely_fit(const float (&weights)[kWeights], float least, float most) const {
    float scale = codec::larger(Format::kSmallest, codec::larger(most, -least));
    float apart = 1.0F;
    for (int round = 0; round < 2; ++round) scale = fitted(sums<0, 1>(Products(scale, apart), weights));
    return {scale, apart};
  }
  /// Quotients of up to 1.2 and products with reciprocals differ by less than a quarter of it.
  static constexpr float kCloseQuotient = 0x1p-20F;

  /// `scale`, which was fitted to weights with these extremes; raises `largest`.
  [[nodiscard]] HALFTONE_HD float raised(float scale, float least, float most, float& largest) const {
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

  /// What code<false>() gives wherever the weight is not close to a limit between two codes.
  struct LikelyCode {
    std::uint32_t word;  ///< the code in its low four bits
    float apart;         ///< by how much the weight exceeds the limit; where that is less than kClose, the code may be another
  };
  /// `weight` is in units of its own; `row_inverse` is about 1 over the row's scale, in such units, and `inverse` about
  /// kLikelyFactor times that over `scale`, which is at least kLikelyScale and which code() serves.
  [[nodiscard]] HALFTONE_HD LikelyCode likely_code(float weight, float row_inverse, float scale, float inverse) const {
    const std::uint32_t offset = codec::bits(std::fma(weight, inverse, kLikelyOffset)) & ((kLikelyCells - 1) * 4);
    const float low = at(low_halves_, offset);
    const float high = at(high_halves_, offset);
    // Half of either value, rounded to halves, with opposite numbers whose unit in the last place is 1/2: their sum is the middle.
    constexpr float magic = 6291456.0F;  // 1.5 * 2^22
    const float middle = std::fma(low, scale, magic) + std::fma(high, scale, -magic);
    const float apart = std::fma(weight, row_inverse, -middle);
    return {codec::bits(apart > 0.0F ? high : low), apart};
  }
  /// Weights of up to 256 in units of the row's scale are off by less than half of it, whichever way they are rounded.
  static constexpr float kClose = 0x1p-14F;
  static constexpr float kLikelyScale = 24.0F;
  static constexpr float kLikelyFactor = 17.0F;
  [[nodiscard]] static HALFTONE_HD bool is_likely(float scale) { return scale >= kLikelyScale && scale <= kLargestScale; }

  static constexpr float kCodeFactor = 42.0F;
  static constexpr float kMostWeight = 1.5F;

 private:
  // Fits.  Weights over their scale go from -1 to 1 in the first round; in the second, whose scale is at least 0.85 times
  // the first one wherever the largest magnitude is the first scale, to 1.18.
  static constexpr std::uint32_t kCells = 32;
  static constexpr float kFactor = 13.0F;
  /// 2^21, whose unit in the last place is 1/4, and the cell of 0: the sum has the cell in the bits 2 to 6.
  static constexpr float kOffset = 2097152.0F + 16.0F;

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
  // Likely codes: the same with fewer cells, as their scales are larger.  2^21, whose unit in the last place is 1/4, and the
  // cell of 0: the sum has the cell in the bits 2 to 7.
  static constexpr std::uint32_t kLikelyCells = 64;
  static constexpr float kLikelyOffset = 2097152.0F + 32.0F;
  static constexpr float kLikelyBlur = 0.5F / kLikelyScale + 0.0005F;
  /// The cell in which a weight lies that is `blur` above the middle of two levels.
  [[nodiscard]] static constexpr std::uint32_t likely_cell(std::uint32_t c, float blur) {
    // Sums are rounded to quarters of cells.
    return static_cast<std::uint32_t>(((Format::level(c) + Format::level(c + 1)) * 0.5F + blur) * kLikelyFactor + 32.125F);
  }

  [[nodiscard]] static constexpr bool limits_are_apart() {
    static_assert(kMostWeight * kLikelyFactor < 31.0F, "weights leave the cells");
    for (std::uint32_t c = 1; c < kLimits; ++c) {
      if (likely_cell(c, -kLikelyBlur) <= likely_cell(c - 1, kLikelyBlur)) return false;
      // More than a cell apart they are, rounded to quarters of cells, at least one apart.
      if ((Limits::limit(c) - Limits::limit(c - 1)) * kFactor < 1.01F) return false;
      // Products with reciprocals may round a cell differently, but not across a limit.
      const float place = Limits::limit(c) * kFactor + 16.125F;
      const float in_cell = place - static_cast<float>(static_cast<int>(place));
      if (in_cell < 0.01F || in_cell > 0.99F) return false;
      if (first_cell(c) <= last_cell(c - 1)) return false;
    }
    return true;
  }

  /// Half a level, with the code in place of its last four bits: with every scale that code() serves it is rounded to the same value.
  [[nodiscard]] static constexpr float half_with_code(std::uint32_t c) {
    return codec::from_bits((codec::bits(Format::level(c) * 0.5F) & ~15U) | c);
  }

  [[nodiscard]] static HALFTONE_HD float within_one(float value) { return value > 1.0F ? 1.0F : value < -1.0F ? -1.0F : value; }

  /// Rounded to an integer, ties to even, for magnitudes of at most 2^22.
  [[nodiscard]] static HALFTONE_HD float rounded(float value) {
    constexpr float magic = 12582912.0F;  // 1.5 * 2^23, whose unit in the last place is 1
    return (value + magic) - magic;
  }

  /// The nearest level of a value that lies in the cell at `offset`, where `excess` is above 0 if it is above the limit there.
  [[nodiscard]] HALFTONE_HD float nearest_in(std::uint32_t offset, float excess) const {
    // The level above a limit is that below the next cell.
#if HALFTONE_DEVICE_CONVERSIONS
    codec::device::add_where_positive(offset, 4, excess);
#else
    offset += excess > 0.0F ? 4U : 0U;
#endif
    return at(below_, offset);
  }
  [[nodiscard]] HALFTONE_HD float nearest(float value) const {
    const std::uint32_t offset = offset_of(value);
    return nearest_in(offset, value - at(limits_, offset));
  }

  /// The nearest levels of weights over a scale.
  struct Quotients {
    float scale;
    [[nodiscard]] HALFTONE_HD float nearest(const LevelCells& cells, float weight) const {
      return cells.nearest(codec::ordinary_quotient(weight, scale));
    }
  };
  /// The same by the scale's reciprocal, where no product is close to a limit.
  struct Products {
    float reciprocal;
    float factor;
    float& apart;
    HALFTONE_HD Products(float scale, float& closest)
        : reciprocal(codec::ordinary_quotient(1.0F, scale)), factor(reciprocal * kFactor), apart(closest) {}
    [[nodiscard]] HALFTONE_HD float nearest(const LevelCells& cells, float weight) const {
      const std::uint32_t offset = codec::bits(std::fma(weight, factor, kOffset)) & ((kCells - 1) * 4);
      const float excess = std::fma(weight, reciprocal, -cells.at(cells.limits_, offset));
      apart = std::fmin(apart, std::fabs(excess));
      return cells.nearest_in(offset, excess);
    }
  };

  struct Sums {
    float products;
    float squares;
  };
  /// The sums over the lanes First, First + Step, …, as halves of halves.
  template <std::uint32_t First, std::uint32_t Step, class Levels>
  [[nodiscard]] HALFTONE_HD Sums sums(const Levels& levels, const float (&weights)[kWeights]) const {
    if constexpr (Step == kWeights) {
      const float found = levels.nearest(*this, weights[First]);
      return {weights[First] * found, found * found};
    } else {
      const Sums low = sums<First, 2 * Step>(levels, weights);
      const Sums high = sums<First + Step, 2 * Step>(levels, weights);
      return {low.products + high.products, low.squares + high.squares};
    }
  }

  /// Format::fitted_once() of 16 weights, of their sums: a lane for each, and these by halves.
  [[nodiscard]] static HALFTONE_HD float fitted(const Sums& all) {
    // No level is 0: the sum of squares is far above the smallest.
    return codec::larger(codec::ordinary_quotient(all.products, all.squares), Format::kSmallest);
  }

  float limits_[kCells];
  float below_[kCells + 1];
  float levels_[kLimits + 1];
  float low_halves_[kLikelyCells];
  float high_halves_[kLikelyCells];
  std::uint8_t passed_[kCodeCells];
};

}  // namespace halftone::formats
