#pragma once

#include <cmath>
#include <cstdint>

#include <halftone/codec/quotient.hpp>

#include "formats/level_limits.hpp"

namespace halftone::formats {

/// The fit of a format that fits its scales (RowScaled), for 16 weights of one thread and with tables in place of the
/// comparisons with all 16 levels.  It gives what Format::fit() gives for weights within kLargest; other groups are for that.
template <class Format>
class FitCells {
 public:
  static constexpr std::uint32_t kWeights = 16;
  /// Below this no quotient or sum of a fit leaves the range of ordinary_quotient().
  static constexpr float kLargest = 1024.0F;

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
    bool close;  ///< whether a quotient is close to a limit; the scale may then be another
  };
  [[nodiscard]] HALFTONE_HD LikelyFit likely_fit(const float (&weights)[kWeights], float least, float most) const {
    float scale = codec::larger(Format::kSmallest, codec::larger(most, -least));
    std::uint32_t least_excess = codec::kInfinityBits;
    for (int round = 0; round < 2; ++round) scale = fitted(sums<0, 1>(Products(scale, least_excess), weights));
    return {scale, least_excess < codec::bits(2.0F * kCloseQuotient)};
  }

  /// `scale`, which was fitted to weights with these extremes; raises `largest`.
  [[nodiscard]] HALFTONE_HD float raised(float scale, float least, float most, float& largest) const {
    // The nearest level does not grow smaller where the weight does not, and neither do products with the scale.
    const float low = nearest(within_one(codec::ordinary_quotient(least, scale)));
    const float high = nearest(within_one(codec::ordinary_quotient(most, scale)));
    largest = codec::larger(largest, codec::magnitude(codec::larger(codec::magnitude(low), codec::magnitude(high)) * scale));
    return scale;
  }

 protected:
  /// Fills the tables.
  constexpr void fill() {
    static_assert(limits_are_apart(), "two limits share a cell");
    for (std::uint32_t cell = 0; cell < kCells; ++cell) {
      std::uint32_t before = 0;
      while (before < kLimits && offset_of(Limits::limit(before)) / 4 < cell) ++before;
      const bool has_limit = before < kLimits && offset_of(Limits::limit(before)) / 4 == cell;
      limits_[cell] = has_limit ? Limits::limit(before) : codec::from_bits(codec::kInfinityBits);
      low_limits_[cell] = limits_[cell] - kCloseQuotient;
      below_[cell] = Format::level(before);
    }
    below_[kCells] = Format::level(kLimits);
  }

 private:
  using Limits = LevelLimits<Format>;
  static constexpr std::uint32_t kLimits = Limits::kLimits;

  /// Quotients of up to 1.2 and products with reciprocals differ by less than a quarter of it.
  static constexpr float kCloseQuotient = 0x1p-20F;

  // Weights over their scale go from -1 to 1 in the first round; in the second, whose scale is at least 0.85 times
  // the first one wherever the largest magnitude is the first scale, to 1.18.
  static constexpr std::uint32_t kCells = 32;
  static constexpr float kFactor = 13.0F;
  /// 2^21, whose unit in the last place is 1/4, and the cell of 0: the sum has the cell in the bits 2 to 6.
  static constexpr float kOffset = 2097152.0F + 16.0F;

  /// Of the cell of `value`, in bytes.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t offset_of(float value) {
    constexpr std::uint32_t mask = (kCells - 1) * 4;
    // A product of two such numbers is exact in binary64.
    if (__builtin_is_constant_evaluated()) {
      return codec::bits(static_cast<float>(static_cast<double>(value) * static_cast<double>(kFactor) + static_cast<double>(kOffset))) &
             mask;
    }
    return codec::bits(std::fma(value, kFactor, kOffset)) & mask;
  }
  [[nodiscard]] static constexpr bool limits_are_apart() {
    for (std::uint32_t c = 1; c < kLimits; ++c) {
      // More than a cell apart they are, rounded to quarters of cells, at least one apart.
      if ((Limits::limit(c) - Limits::limit(c - 1)) * kFactor < 1.01F) return false;
      // Products with reciprocals may round a cell differently, but not across a limit.
      const float place = Limits::limit(c) * kFactor + 16.125F;
      const float in_cell = place - static_cast<float>(static_cast<int>(place));
      if (in_cell < 0.01F || in_cell > 0.99F) return false;
    }
    return true;
  }

  [[nodiscard]] static HALFTONE_HD float within_one(float value) { return value > 1.0F ? 1.0F : value < -1.0F ? -1.0F : value; }

  /// The nearest level of a value that lies in the cell at `offset`, where `excess` is above 0 if it is above the limit there.
  [[nodiscard]] HALFTONE_HD float nearest_in(std::uint32_t offset, float excess) const {
    // The level above a limit is that below the next cell.
#if HALFTONE_DEVICE_CONVERSIONS
    codec::device::add_where_positive(offset, 4, excess);
#else
    offset += excess > 0.0F ? 4U : 0U;
#endif
    return entry_at(below_, offset);
  }
  [[nodiscard]] HALFTONE_HD float nearest(float value) const {
    const std::uint32_t offset = offset_of(value);
    return nearest_in(offset, value - entry_at(limits_, offset));
  }

  /// The nearest levels of weights over a scale.
  struct Quotients {
    float scale;
    [[nodiscard]] HALFTONE_HD float nearest(const FitCells& cells, float weight) const {
      return cells.nearest(codec::ordinary_quotient(weight, scale));
    }
  };
  /// The same by the scale's reciprocal, where no product is close to a limit.
  struct Products {
    float reciprocal;
    float factor;
    /// Bits of the least excess over a limit that is lowered by kCloseQuotient: what is close to the limit exceeds the lowered
    /// one by less than twice that.  Positive numbers order like their bits, and those of negative ones are larger.
    std::uint32_t& least_excess;
    HALFTONE_HD Products(float scale, std::uint32_t& least)
        : reciprocal(codec::ordinary_quotient(1.0F, scale)), factor(reciprocal * kFactor), least_excess(least) {}
    [[nodiscard]] HALFTONE_HD float nearest(const FitCells& cells, float weight) const {
      const std::uint32_t offset = codec::bits(std::fma(weight, factor, kOffset)) & ((kCells - 1) * 4);
      const float excess = std::fma(weight, reciprocal, -entry_at(cells.low_limits_, offset));
      least_excess = codec::bits(excess) < least_excess ? codec::bits(excess) : least_excess;
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
  float low_limits_[kCells];
  float below_[kCells + 1];
};

}  // namespace halftone::formats
