// Part of kernels.inc.hpp; no include guard.
//
// Codes of formats whose levels become integers with the scale of their group (formats::RowScaled): what Format::encode()
// gives, by a search among the limits between values.

/// The limits between the values of the codes for every scale of E4M3.
template <class Format>
struct ScaleLimits {
  static constexpr std::uint32_t kCodes = 16;
  /// Scales have at most 4 significant bits: the upper 12 bits tell them apart, and are consecutive from the smallest to
  /// the largest number; scale 0 has the place before.
  static constexpr std::uint32_t kLowBits = 20;
  static constexpr std::uint32_t kZero = (codec::bits(0x1p-9F) >> kLowBits) - 1;
  static constexpr std::uint32_t kScales = (codec::bits(448.0F) >> kLowBits) - kZero + 1;

  /// In the order of a search: from entry i on to 2i where a weight is not beyond the limit, else to 2i + 1.
  float limits[kScales][kCodes];

  /// Whether `scale` is one of them.
  static HALFTONE_HD bool has(float scale) {
    const std::uint32_t bits = codec::bits(scale);
    return bits == 0 || ((bits & ((1U << kLowBits) - 1)) == 0 && (bits >> kLowBits) - kZero - 1 < kScales - 1);
  }
  HALFTONE_HD const float* of(float scale) const { return limits[scale > 0.0F ? (codec::bits(scale) >> kLowBits) - kZero : 0]; }

  static constexpr ScaleLimits made() {
    ScaleLimits made{};
    for (std::uint32_t s = 0; s < kScales; ++s) {
      const float scale = s == 0 ? 0.0F : codec::from_bits((s + kZero) << kLowBits);
      for (std::uint32_t i = 1; i < kCodes; ++i) {
        // Entry i is the middle of its part of the codes: 8 for i = 1, then 4 and 12, and so on.
        std::uint32_t first = 1;
        while (2 * first <= i) first *= 2;
        const std::uint32_t code = (2 * (i - first) + 1) * (kCodes / 2 / first) - 1;
        made.limits[s][i] = limit(value(code, scale), value(code + 1, scale));
      }
    }
    return made;
  }

 private:
  /// Format::decode().
  static constexpr float value(std::uint32_t code, float scale) {
    return codec::Int8::decode(static_cast<std::uint8_t>(codec::Int8::encode_saturating(Format::level(code) * scale)));
  }
  /// The last weight w for which high - w < w - low does not hold, in binary32.  Where both are on one side of zero, one of
  /// the differences is exact, and it is the midpoint.  Else both may round to half the distance a little further on.
  static constexpr float limit(float low, float high) {
    const float midpoint = (low + high) * 0.5F;
    if (!(low < 0.0F && high > 0.0F)) return midpoint;
    const float half = (high - low) * 0.5F;
    return midpoint + (half - codec::from_bits(codec::bits(half) - 1)) * 0.5F;
  }
};
template <class Format>
alignas(64) constexpr ScaleLimits<Format> kScaleLimits = ScaleLimits<Format>::made();

/// Format::encode() of `n` weights that have one scale, a word each.
template <class Format>
HALFTONE_HD void encode_lanes(const float* weights, std::size_t n, float scale, std::uint32_t* words) {
  if (!ScaleLimits<Format>::has(scale)) {
    for (std::size_t l = 0; l < n; ++l) words[l] = Format::encode(weights[l], scale);
    return;
  }
  constexpr std::uint32_t codes_in_all = ScaleLimits<Format>::kCodes;
  const LaneTable limits(load_all_lanes(kScaleLimits<Format>.of(scale)));
  const auto encode = [&](WordVector & codes, const FloatVector& weight) __attribute__((always_inline)) {
    WordVector at = WordVector{} + 1U;
#pragma GCC unroll 4
    for (std::uint32_t step = 1; step < codes_in_all; step *= 2) {
      const FloatVector limit = step < codes_in_all / 2 ? limits.in_first_half(at) : limits.in_second_half(at);
      at = at + at - (WordVector)(weight > limit);  // a comparison gives -1
    }
    codes = at - codes_in_all;
  };
  for (std::size_t first = 0; first < n; first += kLanes) {
    const auto codes = each<WordVector>(encode, load_lanes(weights + first, n - first));
    __builtin_memcpy(words + first, &codes, smaller(kLanes, n - first) * sizeof(std::uint32_t));
  }
}
