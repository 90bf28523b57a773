#pragma once

#include <halftone/codec/hd.hpp>

namespace halftone::codec {

// 4-bit codes whose values are a table.  All encode a value in [-1, 1] by counting the limits that it, or its
// magnitude, exceeds.  Tables and rules are those of bitsandbytes (Dettmers et al., "QLoRA", 2023) and of
// convert_to_quant, December 2025.
//
// A table has
//
//   kLimits, kSigned               how many limits there are, and whether they are those of the value or of its magnitude
//   limit(i)                       limit i, ascending
//   code(rank, value)              the code of a value that exceeds `rank` limits
//   level(code), decode(code)      the value of a code

/// The codec of a table.
template <class Table>
struct Counted : Table {
  /// What is compared with the limits.
  [[nodiscard]] static HALFTONE_HD constexpr float key(float value) { return Table::kSigned ? value : magnitude(value); }

  /// `value` must not be NaN.
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t encode(float value) {
    std::uint32_t rank = 0;
    for (std::uint32_t i = 0; i < Table::kLimits; ++i) rank += key(value) > Table::limit(i) ? 1U : 0U;
    return Table::code(rank, value);
  }
};

/// The largest y, found among the floats, that is no farther from `low` than from `high`, each distance
/// rounded to binary32: where a search for the nearest of two levels, the lower first, still takes `low`.
[[nodiscard]] HALFTONE_HD constexpr float last_nearer_to_low(float low, float high) {
  const auto takes_low = [&](float y) { return magnitude(y - low) <= magnitude(y - high); };
  const auto step = [](float y, bool up) { return from_bits(bits(y) + ((y < 0.0F) == up ? 0xFFFF'FFFFU : 1U)); };
  float y = low + (high - low) * 0.5F;
  while (takes_low(step(y, true))) y = step(y, true);
  while (!takes_low(y)) y = step(y, false);
  return y;
}

/// The 16 levels of NF4, ascending; code 7 is zero.
struct Nf4Levels {
  static constexpr std::uint32_t kLimits = 15;
  static constexpr bool kSigned = true;
  [[nodiscard]] static HALFTONE_HD constexpr float level(std::uint32_t code) {
    constexpr float levels[16] = {-1.0F,
                                  -0.6961928009986877F,
                                  -0.5250730514526367F,
                                  -0.39491748809814453F,
                                  -0.28444138169288635F,
                                  -0.18477343022823334F,
                                  -0.09105003625154495F,
                                  0.0F,
                                  0.07958029955625534F,
                                  0.16093020141124725F,
                                  0.24611230194568634F,
                                  0.33791524171829224F,
                                  0.44070982933044434F,
                                  0.5626170039176941F,
                                  0.7229568362236023F,
                                  1.0F};
    return levels[code];
  }
  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint8_t code) { return level(code & 15U); }
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t code(std::uint32_t rank, float) { return rank; }
};

/// The limits of a search for the nearest level, of two equally near ones the lower.
struct Nf4Search : Nf4Levels {
  /// Where the search goes on from `code` to the next.
  [[nodiscard]] static HALFTONE_HD constexpr float between(std::uint32_t code) { return last_nearer_to_low(level(code), level(code + 1)); }
  [[nodiscard]] static HALFTONE_HD constexpr float limit(std::uint32_t i) {
    constexpr float limits[kLimits] = {between(0), between(1), between(2),  between(3),  between(4),  between(5),  between(6), between(7),
                                       between(8), between(9), between(10), between(11), between(12), between(13), between(14)};
    return limits[i];
  }
};
using Nf4 = Counted<Nf4Search>;

/// NF4 as bitsandbytes decides: by the midpoints of its levels as its source spells them.
struct BnbNf4Midpoints : Nf4Levels {
  [[nodiscard]] static HALFTONE_HD constexpr float limit(std::uint32_t i) {
    constexpr std::uint32_t limits[kLimits] = {0xBF59'1CD8U, 0xBF1C'5270U, 0xBEEB'8480U, 0xBEAD'EA76U, 0xBE70'3CECU,
                                               0xBE0D'38BCU, 0xBD3A'7871U, 0x3D22'FAFFU, 0x3DF6'4862U, 0x3E50'67E0U,
                                               0x3E95'82D4U, 0x3EC7'53F9U, 0x3F00'6D04U, 0x3F24'8DAFU, 0x3F5C'89DAU};
    return from_bits(limits[i]);
  }
};
using BnbNf4 = Counted<BnbNf4Midpoints>;

/// FP4 in the order of convert_to_quant: magnitudes ascending, codes 8 to 15 negative.  Code 8, -0, is
/// never produced: a search finds code 0 first.
struct Fp4Search {
  static constexpr std::uint32_t kLimits = 7;
  static constexpr bool kSigned = false;
  [[nodiscard]] static HALFTONE_HD constexpr float magnitude_of(std::uint32_t code) {
    constexpr float magnitudes[8] = {0.0F, 0.00520833F, 0.16666667F, 0.25F, 0.33333333F, 0.5F, 0.66666667F, 1.0F};
    return magnitudes[code];
  }
  [[nodiscard]] static HALFTONE_HD constexpr float level(std::uint32_t code) {
    return from_bits(bits(magnitude_of(code & 7U)) | (code & 8U) << 28);
  }
  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint8_t code) { return level(code & 15U); }

  /// Where the search goes on from `code` to the next.
  [[nodiscard]] static HALFTONE_HD constexpr float between(std::uint32_t code) {
    return last_nearer_to_low(magnitude_of(code), magnitude_of(code + 1));
  }
  [[nodiscard]] static HALFTONE_HD constexpr float limit(std::uint32_t i) {
    constexpr float limits[kLimits] = {between(0), between(1), between(2), between(3), between(4), between(5), between(6)};
    return limits[i];
  }
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t code(std::uint32_t rank, float value) {
    return value < 0.0F && rank != 0 ? rank | 8U : rank;
  }
};
using Fp4 = Counted<Fp4Search>;

/// FP4 in the order of bitsandbytes, by its limits; codes 8 to 15 are the negatives of 0 to 7, and +0 again
/// for code 8.
struct BnbFp4Limits {
  static constexpr std::uint32_t kLimits = 7;
  static constexpr bool kSigned = false;
  [[nodiscard]] static HALFTONE_HD constexpr float level(std::uint32_t code) {
    constexpr std::uint32_t magnitudes[8] = {0x0000'0000U, 0x3BAA'AAABU, 0x3F2A'AAABU, 0x3F80'0000U,
                                             0x3EAA'AAABU, 0x3F00'0000U, 0x3E2A'AAABU, 0x3E80'0000U};
    const std::uint32_t found = magnitudes[code & 7U];
    return from_bits((code & 8U) != 0 && found != 0 ? found | kSignMask : found);
  }
  [[nodiscard]] static HALFTONE_HD constexpr float decode(std::uint8_t code) { return level(code & 15U); }

  [[nodiscard]] static HALFTONE_HD constexpr float limit(std::uint32_t i) {
    constexpr float limits[kLimits] = {0.00260417F, 0.0859375F, 0.20833333F, 0.29166667F, 0.4166667F, 0.583333F, 0.8333333F};
    return limits[i];
  }
  [[nodiscard]] static HALFTONE_HD constexpr std::uint32_t code(std::uint32_t rank, float value) {
    // By ascending magnitude the codes are 0 1 6 7 4 5 2 3.
    return (rank ^ ((rank & 2U) << 1)) | (value < 0.0F ? 8U : 0U);
  }
};
using BnbFp4 = Counted<BnbFp4Limits>;

}  // namespace halftone::codec
