#pragma once

#include <halftone/codec/minifloat.hpp>

#include "formats/nvfp4/format.hpp"

namespace halftone::formats::nvfp4 {

/// The squared errors of all bfloat16 weights with the scales of an octave, the eight E4M3 codes that share an exponent,
/// for searches that add what they look up (cuda/kernels/tabled_runs.cuh) and compare few scales exactly.
///
/// One table serves all octaves: a weight and a scale of twice the size have four times the error.  A row holds the errors
/// of one magnitude.  They are whole numbers of units, so that sums of 16 do not depend on the order and two of them fit
/// a word.
class ErrorTable {
 public:
  static constexpr std::uint32_t kOctaveScales = 8;
  /// Rows from one magnitude to twice of it, as many as there are bfloat16.
  static constexpr int kOctaveRows = 128;
  /// From 1/40 of the octave's first scale to 15 times of it.
  static constexpr int kRows = 1184;
  /// Rows of nothing before those, for smaller weights: a weight that is in row r for an octave is in row
  /// r - kOctaveRows for the next one.
  static constexpr int kRowsBefore = kOctaveRows;

  /// What a search knows of a run before it looks anything up.
  struct Window {
    std::uint32_t plain;  ///< code of the plain scale
    std::uint32_t first;  ///< codes of the smallest and the largest scale to try
    std::uint32_t last;
    std::uint32_t octave;  ///< the first of two octaves, exponents of codes, of which open() takes sums
    std::uint32_t origin;  ///< the code from which sets of codes count, bit by bit
    /// Whether sums help: where scales are normal E4M3, and weights within the rows.
    bool has_sums;

    [[nodiscard]] static HALFTONE_HD Window of(float amax, float tensor) {
      const std::uint32_t plain = Format::candidate(amax, tensor, 0).stored;
      const std::uint32_t first = Format::candidate(amax, tensor, 1).stored;
      const std::uint32_t last = Format::candidate(amax, tensor, Format::kCandidates - 1).stored;
      // In nearly all runs scales below 0.8 times the plain one clip too much to be the best.
      const std::uint32_t octave = (plain - 2) / kOctaveScales;
      const bool has_sums = plain >= 2 * kOctaveScales && plain <= kLargestCode &&
                            (codec::bits(amax) >> 16) < first_row(tensor, octave) + static_cast<std::uint32_t>(kRows);
      return {plain, first, last, octave, has_sums ? (octave - 1) * kOctaveScales : first, has_sums};
    }
    /// All codes to try.
    [[nodiscard]] HALFTONE_HD std::uint32_t all() const { return (2U << (last - origin)) - (1U << (first - origin)); }
  };

  /// Whether there is a table for the scale `tensor` of a whole weight: nothing in it leaves the range of normal numbers.
  [[nodiscard]] static HALFTONE_HD bool serves(float tensor) { return tensor >= 0x1p-40F && tensor <= 0x1p+40F; }

  /// The upper half of the bits of the magnitude in row 0 for an octave of at least 1.
  [[nodiscard]] static HALFTONE_HD std::uint32_t first_row(float tensor, std::uint32_t octave) {
    return (codec::bits(tensor * kSmallest) >> 16) + octave * kOctaveRows - kUnitOctave * kOctaveRows;
  }

  /// The error of the magnitude in `row`, from 0 on, with scale `i` of the octave: within half a unit, or kMost if it is
  /// as large.
  [[nodiscard]] static HALFTONE_HD std::uint32_t entry(float tensor, std::uint32_t row, std::uint32_t i) {
    const float magnitude = codec::from_bits((first_row(tensor, kUnitOctave) + row) << 16);
    const float scale = Format::decode_operand(static_cast<std::uint8_t>(kUnitOctave * kOctaveScales + i), tensor);
    const float difference = (Format::nearest(magnitude, scale, scale) - magnitude) / tensor;
    const float units = difference * difference * kUnits + 0.5F;
    return units < static_cast<float>(kMost) ? static_cast<std::uint32_t>(units) : kMost;
  }

  /// The codes whose scales may be the best, as a set: bit i for Window::origin + i.  `sums`: the sums of entries of the window's
  /// octaves, of two neighbouring scales in each word, the smaller one's in its lower half.
  [[nodiscard]] static HALFTONE_HD std::uint32_t open(const Window& window, const std::uint32_t (&sums)[kOctaveScales], float amax,
                                                      float tensor) {
    const std::uint32_t all = window.all();
    const std::uint32_t with_sums = all >> kOctaveScales;
    std::uint32_t tried[kOctaveScales];
    for (std::uint32_t k = 0; k < kOctaveScales; ++k) tried[k] = sums[k] | all_but(with_sums, 2 * k);
    const std::uint32_t low = least(tried[0], tried[1], tried[2], tried[3]);
    const std::uint32_t high = least(tried[4], tried[5], tried[6], tried[7]);
    // What contains an entry of kMost may be any larger, and is no bound from above.
    constexpr std::uint32_t none = 1U << 20;
    const std::uint32_t low_bound = low < kMost ? low + kMostOff : none;
    const std::uint32_t high_bound = high < kMost ? 4 * (high + kMostOff) : none;
    const std::uint32_t bound = low_bound < high_bound ? low_bound : high_bound;
    if (bound == none) return all;
    std::uint32_t open = 0;
    for (std::uint32_t k = 0; k < kOctaveScales; ++k) {
      const std::uint32_t limit = (k < kOctaveScales / 2 ? bound : bound / 4) + kMostOff;
      open |= (tried[k] & 0xFFFFU) <= limit ? 1U << (2 * k) : 0U;
      open |= (tried[k] >> 16) <= limit ? 2U << (2 * k) : 0U;
    }
    open <<= kOctaveScales;
    // Scales without sums: larger ones, of which there are few, and smaller ones, unless they clip too much.
    open |= all & ~0x00FF'FFFFU;
    const std::uint32_t smaller = all & 0xFFU;
    if (smaller != 0 && !clips_more(window, static_cast<float>(bound), amax, tensor)) open |= smaller;
    return open;
  }

 private:
  static constexpr std::uint32_t kLargestCode = 0x7E;
  /// The exponent of E4M3 codes from 1 to 2.
  static constexpr std::uint32_t kUnitOctave = 7;
  /// Units in the square of the octave's first scale.
  static constexpr float kUnits = 768.0F;
  /// The largest entry: 16 of them fit half a word.  No smaller than the error of a weight between two codes, 3.52 squares.
  static constexpr std::uint32_t kMost = 4095;
  /// By which the sum of 16 entries differs from the sum of errors as a search computes it, in units: 16 halves, and 1 for
  /// the roundings of both.
  static constexpr std::uint32_t kMostOff = 9;
  /// Row 0 in units of the octave's first scale: less than half a unit is lost where a smaller weight has no row.
  static constexpr float kSmallest = 0.025F;

  /// Whether already the largest weight has an error of more than `bound` with all scales before the window's octaves.
  [[nodiscard]] static HALFTONE_HD bool clips_more(const Window& window, float bound, float amax, float tensor) {
    const std::uint32_t code = window.octave * kOctaveScales;
    const float first = Format::decode_operand(static_cast<std::uint8_t>(code), tensor);
    const float below = Format::decode_operand(static_cast<std::uint8_t>(code - 1), tensor);
    const float clipped = amax - codec::E2M1::max_value() * below;
    return clipped > 0.0F && clipped * clipped * kUnits > (bound + 1.0F) * (first * first);
  }

  /// All bits of each half word whose code, `first` or the next one, is not in `set`.
  [[nodiscard]] static HALFTONE_HD std::uint32_t all_but(std::uint32_t set, std::uint32_t first) {
    const std::uint32_t low = (set >> first & 1U) - 1U;
    const std::uint32_t high = (set >> (first + 1) & 1U) - 1U;
    return (low & 0xFFFFU) | (high & 0xFFFF'0000U);
  }

  /// The least half of four words.
  [[nodiscard]] static HALFTONE_HD std::uint32_t least(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
    const std::uint32_t halves = smaller_halves(smaller_halves(a, b), smaller_halves(c, d));
    const std::uint32_t low = halves & 0xFFFFU;
    const std::uint32_t high = halves >> 16;
    return low < high ? low : high;
  }
  [[nodiscard]] static HALFTONE_HD std::uint32_t smaller_halves(std::uint32_t a, std::uint32_t b) {
#if defined(__CUDA_ARCH__)
    return __vminu2(a, b);
#else
    const std::uint32_t low = (a & 0xFFFFU) < (b & 0xFFFFU) ? a : b;
    const std::uint32_t high = (a >> 16) < (b >> 16) ? a : b;
    return (low & 0xFFFFU) | (high & 0xFFFF'0000U);
#endif
  }
};

}  // namespace halftone::formats::nvfp4
