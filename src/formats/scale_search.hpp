#pragma once

#include <halftone/codec/hd.hpp>

namespace halftone::formats {

// Which scales a search tries, by family of formats.  It keeps the one with the smallest squared error
// over the group, of equally good ones the first; candidate 0 is the plain scale, so that the error
// never grows.

/// For integers and tables: what exceeds a smaller scale is clipped, and the rest is rounded more finely.
struct ClippingSearch {
  static constexpr int kCandidates = 36;
  /// 1, 0.98, … 0.3.
  [[nodiscard]] static HALFTONE_HD float factor(int i) { return 1.0F - 0.02F * static_cast<float>(i); }
};

/// For floats of few bits: where the codes lie between two powers of two decides, not the range.
struct MantissaSearch {
  static constexpr int kCandidates = 24;
  /// 2^(i/24), rounded to binary32.
  [[nodiscard]] static HALFTONE_HD float factor(int i) {
    constexpr std::uint32_t powers[kCandidates] = {0x3F800000U, 0x3F83C02DU, 0x3F879C7DU, 0x3F8B95C2U, 0x3F8FACD6U, 0x3F93E299U,
                                                   0x3F9837F0U, 0x3F9CADC9U, 0x3FA14518U, 0x3FA5FED7U, 0x3FAADC08U, 0x3FAFDDB7U,
                                                   0x3FB504F3U, 0x3FBA52D8U, 0x3FBFC887U, 0x3FC5672AU, 0x3FCB2FF5U, 0x3FD12424U,
                                                   0x3FD744FDU, 0x3FDD93CEU, 0x3FE411F0U, 0x3FEAC0C7U, 0x3FF1A1BFU, 0x3FF8B651U};
    return codec::from_bits(powers[i]);
  }
};

}  // namespace halftone::formats
