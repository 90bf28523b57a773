#pragma once

#include <halftone/codec/integer.hpp>
#include <halftone/codec/minifloat.hpp>
#include <halftone/format.hpp>

#include "formats/format_traits.hpp"

namespace halftone::formats::w4a8 {

/// 4-bit codes of a table, for products in INT8, of a weight that was rotated along its rows: with the E4M3 scale of its
/// group a code becomes an INT8 value, and that times the F32 scale of its row the weight.
///
/// The scale of a group is fitted to its weights by least squares, not made from the largest.  The chain is that of
/// comfy-kitchen's eager quantizer, computed in binary32 throughout, with its fixed table.
struct Format {
  static constexpr ScaleGrid kGrid = ScaleGrid::run;
  static constexpr Packing kPacking = Packing::low_nibble_first;
  /// Smallest magnitude that a scale is made from, and smallest sum of squares that is divided by.
  static constexpr float kSmallest = 1e-8F;

  /// The table, ascending; it is not symmetric.
  [[nodiscard]] static HALFTONE_HD constexpr float level(std::uint32_t code) {
    constexpr std::uint32_t levels[16] = {0xBF7B'08BCU, 0xBF4B'6641U, 0xBF23'5EC8U, 0xBF00'409EU, 0xBEC1'3038U, 0xBE86'C072U,
                                          0xBE1E'EF5FU, 0xBD4F'BFC6U, 0x3D57'353BU, 0x3E20'C0ADU, 0x3E87'D34EU, 0x3EC2'5226U,
                                          0x3F00'ACC1U, 0x3F23'926CU, 0x3F4B'7CFEU, 0x3F7B'0D41U};
    return codec::from_bits(levels[code]);
  }
  /// The INT8 value of a level of a table: rint of its product with the group's scale.
  [[nodiscard]] static HALFTONE_HD float decode_level(float level, float scale) {
    return codec::Int8::decode(static_cast<std::uint8_t>(codec::Int8::encode_saturating(level * scale)));
  }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float scale) { return decode_level(level(code & 15U), scale); }
  /// The nearest of the 16 values that a group has, of equally near ones the lower; `weight` in units of its row's scale.
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float scale) {
    std::uint32_t code = 0;
    float below = decode_level(level(0), scale);
    for (std::uint32_t i = 1; i < 16; ++i) {
      const float value = decode_level(level(i), scale);
      code += value - weight < weight - below ? 1U : 0U;
      below = value;
    }
    return code;
  }

  /// The scale of a group, of a fitted one in units of its row's.
  [[nodiscard]] static HALFTONE_HD ByteScale scale_from_amax(float fitted) {
    const auto stored = static_cast<std::uint8_t>(codec::E4M3::encode_saturating(fitted));
    return {codec::E4M3::decode(stored), stored};
  }
  [[nodiscard]] static HALFTONE_HD float decode_operand(std::uint8_t stored, float) { return codec::E4M3::decode(stored); }
  /// The scale of a row whose groups' largest fitted value is `largest`.
  [[nodiscard]] static HALFTONE_HD float row_scale(float largest) { return codec::larger(largest / codec::Int8::max_value(), kSmallest); }
  /// The scale of least squared error of a group of `n` weights, for codes that are chosen and fitted in turn; raises
  /// `largest` to the largest magnitude that it gives.
  [[nodiscard]] static HALFTONE_HD float fit(const float* weights, std::uint32_t n, float& largest) {
    float scale = kSmallest;
    for (std::uint32_t i = 0; i < n; ++i) scale = codec::larger(scale, codec::magnitude(weights[i]));
    for (int round = 0; round < 2; ++round) scale = fitted_once(weights, n, scale);
    float found[kLanes];
    for (std::uint32_t first = 0; first < n; first += kLanes) {
      nearest_levels(weights + first, n - first, scale, found);
      for (std::uint32_t l = 0; l < kLanes; ++l) largest = codec::larger(largest, codec::magnitude(found[l] * scale));
    }
    return scale;
  }

  /// The plain scale, then the five below and above it by turns, as far as there are such.
  static constexpr int kCandidates = 11;
  [[nodiscard]] static HALFTONE_HD ByteScale candidate(float fitted, float, int i) {
    const auto plain = static_cast<int>(codec::E4M3::encode_saturating(fitted));
    const int wanted = plain + (i % 2 == 0 ? i / 2 : -(i + 1) / 2);
    constexpr int most = 0x7E;  // 448
    const auto stored = static_cast<std::uint8_t>(wanted < 0 ? 0 : wanted > most ? most : wanted);
    return {codec::E4M3::decode(stored), stored};
  }

 private:
  /// Weights that are handled together: the lanes of sums.
  static constexpr std::uint32_t kLanes = 16;

  /// The levels nearest to the first of `n` weights over `scale`, of equally near ones the lower; zeros behind the last.
  static HALFTONE_HD void nearest_levels(const float* weights, std::uint32_t n, float scale, float* found) {
    float values[kLanes];
    for (std::uint32_t l = 0; l < kLanes; ++l) values[l] = l < n ? weights[l] / scale : 0.0F;
    for (std::uint32_t l = 0; l < kLanes; ++l) found[l] = level(0);
    for (std::uint32_t i = 1; i < 16; ++i) {
      for (std::uint32_t l = 0; l < kLanes; ++l) found[l] = level(i) - values[l] < values[l] - level(i - 1) ? level(i) : found[l];
    }
    for (std::uint32_t l = n; l < kLanes; ++l) found[l] = 0.0F;
  }

  /// The factor of the levels nearest to `weights` / `scale` that is nearest to the weights.  Sums run in 16 lanes,
  /// element i in lane i mod 16, and then over the lanes by halves.
  [[nodiscard]] static HALFTONE_HD float fitted_once(const float* weights, std::uint32_t n, float scale) {
    float products[kLanes] = {};
    float squares[kLanes] = {};
    float found[kLanes];
    for (std::uint32_t first = 0; first < n; first += kLanes) {
      nearest_levels(weights + first, n - first, scale, found);
      for (std::uint32_t l = 0; l < kLanes; ++l) {
        const float weight = first + l < n ? weights[first + l] : 0.0F;
        products[l] += weight * found[l];
        squares[l] += found[l] * found[l];
      }
    }
    for (std::uint32_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::uint32_t l = 0; l < half; ++l) {
        products[l] += products[l + half];
        squares[l] += squares[l + half];
      }
    }
    return codec::larger(products[0] / codec::larger(squares[0], kSmallest), kSmallest);
  }
};

/// Names, shapes and JSON of the format.
[[nodiscard]] const FormatDescriptor& descriptor();

}  // namespace halftone::formats::w4a8
