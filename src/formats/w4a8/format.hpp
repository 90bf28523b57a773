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
  [[nodiscard]] static HALFTONE_HD float level(std::uint32_t code) {
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
    for (std::uint32_t i = 0; i < n; ++i) {
      largest = codec::larger(largest, codec::magnitude(nearest_level(weights[i] / scale) * scale));
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
  /// The level nearest to `value`, of equally near ones the lower.
  [[nodiscard]] static HALFTONE_HD float nearest_level(float value) {
    float found = level(0);
    for (std::uint32_t i = 1; i < 16; ++i) found = level(i) - value < value - level(i - 1) ? level(i) : found;
    return found;
  }

  /// The factor of the levels nearest to `weights` / `scale` that is nearest to the weights.  Sums run in 16 lanes,
  /// element i in lane i mod 16, and then over the lanes by halves.
  [[nodiscard]] static HALFTONE_HD float fitted_once(const float* weights, std::uint32_t n, float scale) {
    constexpr std::uint32_t lanes = 16;
    float products[lanes] = {};
    float squares[lanes] = {};
    for (std::uint32_t first = 0; first < n; first += lanes) {
      const std::uint32_t count = n - first < lanes ? n - first : lanes;
      for (std::uint32_t l = 0; l < count; ++l) {
        const float found = nearest_level(weights[first + l] / scale);
        products[l] += weights[first + l] * found;
        squares[l] += found * found;
      }
    }
    for (std::uint32_t half = lanes / 2; half > 0; half /= 2) {
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
