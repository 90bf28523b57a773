#pragma once

#include <cmath>
#include <cstdint>

#include <halftone/codec/minifloat.hpp>
#include <halftone/codec/quotient.hpp>

#include "formats/level_limits.hpp"

namespace halftone::formats {

/// The codes of a format that fits its scales (RowScaled), with tables in place of the comparisons with all 16 levels.
/// They are those of Format::encode(), for scales that serves() names; others are for that.
template <class Format>
class CodeCells {
 public:
  /// Scales of a group between which at most one limit of its codes lies in a cell, and no code saturates.
  static constexpr float kSmallestScale = 13.0F;
  static constexpr float kLargestScale = 128.0F;

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
    const float low = rounded(entry_at(levels_, passed) * scale);
    const float high = rounded(entry_at(levels_, passed + 4) * scale);
    const bool is_high = high - weight < weight - low;
    return {passed + (is_high ? 4U : 0U), is_high ? high : low};
  }

  /// What code<false>() gives wherever the weight is not close to a limit between two codes.
  struct LikelyCode {
    std::uint32_t word;  ///< the code in its low four bits, the highest of them inverted
    float apart;         ///< by how much the weight is below the limit; where that is less than kClose, the code may be another
  };
  /// `weight` is in units of its own; `row_inverse` is about 1 over the row's scale, in such units, and `inverse` about
  /// kLikelyFactor times that over the group's scale, of which is_likely() and likely_row() gives `row`.
  [[nodiscard]] HALFTONE_HD LikelyCode likely_code(float weight, float row_inverse, std::uint32_t row, float inverse) const {
    const std::uint32_t offset = codec::bits(std::fma(weight, inverse, kLikelyOffset)) & ((kLikelyCells - 1) * 4);
    const float limit = entry_at(limits_, offset ^ row);
    const float apart = std::fma(-weight, row_inverse, limit);
    // Above the limit the code is one more: the sign of a number that is not 0 there.
    return {codec::bits(limit) + (codec::bits(apart) >> 31), apart};
  }
  /// Weights of up to 256 in units of the row's scale are off by less than a quarter of it, whichever way they are rounded,
  /// and limits by at most half of it.
  static constexpr float kClose = 0x1p-13F;
  static constexpr float kLikelyScale = 24.0F;
  static constexpr float kLikelyFactor = 17.0F;
  [[nodiscard]] static HALFTONE_HD bool is_likely(float scale) { return scale >= kLikelyScale && scale <= kLargestScale; }
  /// Where the limits of a stored scale lie, in bytes.  The cells of a row change places with its number, so that threads with
  /// different scales seldom read from one bank.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t likely_row(std::uint32_t stored) {
    const std::uint32_t row = stored - kFirstLikely;
    return (row * kLikelyCells + row * 7 % 32) * 4;
  }

  static constexpr float kCodeFactor = 42.0F;
  static constexpr float kMostWeight = 1.5F;

 protected:
  /// Fills the tables.
  constexpr void fill() {
    static_assert(limits_are_apart(), "two limits share a cell");
    for (std::uint32_t c = 0; c <= kLimits; ++c) levels_[c] = Format::level(c);
    // In both, the last limit is always compared.
    for (std::uint32_t cell = 0; cell < kLikelyCells; ++cell) {
      std::uint32_t passed = 0;
      while (passed + 1 < kLimits && likely_cell(passed, kLikelyBlur) < cell) ++passed;
      for (std::uint32_t stored = kFirstLikely; stored < kFirstLikely + kLikelyScales; ++stored) {
        limits_[(likely_row(stored) / 4) ^ cell] = limit_with_code(passed, codec::E4M3::decode(static_cast<std::uint8_t>(stored)));
      }
    }
    for (std::uint32_t cell = 0; cell < kCodeCells; ++cell) {
      std::uint32_t passed = 0;
      while (passed + 1 < kLimits && last_cell(passed) < cell) ++passed;
      passed_[cell] = static_cast<std::uint8_t>(passed * 4);
    }
  }

 private:
  static constexpr std::uint32_t kLimits = LevelLimits<Format>::kLimits;

  // 2^23, whose unit in the last place is 1, and the cell of 0.  Weights go to 1.4 times the fitted scale of their
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
  /// The E4M3 codes of kLikelyScale to kLargestScale.
  static constexpr std::uint32_t kFirstLikely = 0x5C;
  static constexpr std::uint32_t kLikelyScales = 0x70 - kFirstLikely + 1;
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
      if (first_cell(c) <= last_cell(c - 1)) return false;
    }
    return true;
  }

  /// The limit between code `c` and the next one with a scale, a multiple of 1/2 below 128 and so off by at most 2^-14, for
  /// the code, its highest bit inverted, in the last four bits.
  [[nodiscard]] static constexpr float limit_with_code(std::uint32_t c, float scale) {
    const float limit = (rounded(Format::level(c) * scale) + rounded(Format::level(c + 1) * scale)) * 0.5F;
    return codec::from_bits(limit == 0.0F ? c ^ 8U : codec::bits(limit) + c - 8U);
  }

  /// Rounded to an integer, ties to even, for magnitudes of at most 2^22.
  [[nodiscard]] static HALFTONE_HD constexpr float rounded(float value) {
    constexpr float magic = 12582912.0F;  // 1.5 * 2^23, whose unit in the last place is 1
    return (value + magic) - magic;
  }

  float levels_[kLimits + 1];
  float limits_[kLikelyScales * kLikelyCells];
  std::uint8_t passed_[kCodeCells];
};

}  // namespace halftone::formats
