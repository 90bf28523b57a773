// Part of kernels.inc.hpp, for instruction sets with AVX2 and FMA.  No include guard.
//
// Codes of BF16 weights, 16 in a register wherever 16 bits are enough.  A second way to the codes of the
// shared maths, which tests compare with it: over all 2^16 weights, over all products, and over all quotients
// near the midpoint of two codes.

/// Weights that a vector encodes at a time.
constexpr std::size_t kVectorWeights = 32;

/// Sixteen weights as binary32, in the order in which a pack instruction puts them back:
/// 0 to 3 and 8 to 11, then 4 to 7 and 12 to 15.
struct Sixteen {
  __m256 low;
  __m256 high;
};

/// The binary32 whose upper halves are the 16 words of `raw`.
HALFTONE_HD Sixteen widened(__m256i raw) {
  const __m256i zero = _mm256_setzero_si256();
  return {_mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, raw)), _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, raw))};
}

HALFTONE_HD Sixteen operator*(const Sixteen& weights, __m256 factor) {
  return {_mm256_mul_ps(weights.low, factor), _mm256_mul_ps(weights.high, factor)};
}

/// The bytes of a pack of two such registers, 0 to 31.
HALFTONE_HD __m256i in_order(__m256i packed) { return _mm256_permute4x64_epi64(packed, 0xD8); }

/// Multiplication and conversion to a Minifloat of eight bits.
template <class Codec>
struct MinifloatOf32 {
  explicit HALFTONE_HD MinifloatOf32(float operand) : factor(_mm256_set1_ps(operand)) {}

  HALFTONE_HD __m256i operator()(__m256i first, __m256i second) const {
    const __m256i magnitude = _mm256_set1_epi16(0x7FFF);
    const Sixteen a = widened(_mm256_and_si256(first, magnitude)) * factor;
    const Sixteen b = widened(_mm256_and_si256(second, magnitude)) * factor;
    __m256i codes = _mm256_packus_epi16(rounded(shortened(a)), rounded(shortened(b)));
    const __m256i others = _mm256_sub_epi8(codes, _mm256_set1_epi8(kFirstNormal));
    if (_mm256_movemask_epi8(others) != 0) codes = _mm256_blendv_epi8(codes, _mm256_packs_epi16(steps(a), steps(b)), others);
    const __m256i signs = _mm256_and_si256(_mm256_packs_epi16(first, second), _mm256_set1_epi8(static_cast<char>(0x80)));
    return in_order(_mm256_or_si256(codes, signs));
  }

 private:
  static constexpr int kDropped = Codec::kShift - 15;              ///< bits of a shortened magnitude that rounding drops
  static constexpr char kFirstNormal = 1 << (23 - Codec::kShift);  ///< the code

  /// The upper halves of magnitudes, at most that of the largest value, and below them one bit that tells
  /// whether anything of the lower halves is set: enough to round to nearest, ties to even.
  static HALFTONE_HD __m256i shortened(const Sixteen& magnitudes) {
    const __m256i limit = _mm256_set1_epi32(static_cast<int>(Codec::kMaxBits | 1U));
    const __m256i places = _mm256_set1_epi32(2 << 16 | 1);
    return _mm256_packus_epi32(_mm256_madd_epi16(_mm256_min_epu16(_mm256_castps_si256(magnitudes.low), limit), places),
                               _mm256_madd_epi16(_mm256_min_epu16(_mm256_castps_si256(magnitudes.high), limit), places));
  }

  /// Codes of normal values.  What is below them gets a code below kFirstNormal, that one where it rounds
  /// up to it, or, from a negative exponent, 255 once it is packed: never one of another normal value.
  static HALFTONE_HD __m256i rounded(__m256i short_magnitudes) {
    constexpr int below_half = (1 << (kDropped - 1)) - 1;
    constexpr int rebias = static_cast<int>(Codec::kRebias) << kDropped;
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi16(short_magnitudes, kDropped), _mm256_set1_epi16(1));
    const __m256i moved = _mm256_add_epi16(short_magnitudes, _mm256_set1_epi16(static_cast<short>(below_half - rebias)));
    return _mm256_srli_epi16(_mm256_add_epi16(moved, odd), kDropped);
  }

  /// How many subnormal steps magnitudes are, rounded; saturated.
  static HALFTONE_HD __m256i steps(const Sixteen& magnitudes) {
    const Sixteen scaled = magnitudes * _mm256_set1_ps(codec::from_bits(Codec::kStepsPerUnit));
    return _mm256_packs_epi32(_mm256_cvtps_epi32(scaled.low), _mm256_cvtps_epi32(scaled.high));
  }

  __m256 factor;
};

/// Multiplication or division, and conversion to bytes.
template <bool Divides>
struct Int8Of32 {
  explicit HALFTONE_HD Int8Of32(float operand)
      : factor(_mm256_set1_ps(Divides ? 1.0F / operand : operand)), divisor(_mm256_set1_ps(operand)) {}

  HALFTONE_HD __m256i operator()(__m256i first, __m256i second) const {
    const __m256i magnitude = _mm256_set1_epi16(0x7FFF);
    const __m256i magnitudes =
        _mm256_packs_epi16(integers(widened(_mm256_and_si256(first, magnitude))), integers(widened(_mm256_and_si256(second, magnitude))));
    // What no integer holds became the most negative one, and that the byte -128.
    const __m256i bounded = _mm256_min_epu8(_mm256_abs_epi8(magnitudes), _mm256_set1_epi8(127));
    return in_order(_mm256_sign_epi8(bounded, _mm256_packs_epi16(first, second)));
  }

 private:
  HALFTONE_HD __m256i integers(const Sixteen& magnitudes) const {
    return _mm256_packs_epi32(_mm256_cvtps_epi32(result(magnitudes.low)), _mm256_cvtps_epi32(result(magnitudes.high)));
  }
  HALFTONE_HD __m256 result(__m256 magnitudes) const {
    const __m256 product = _mm256_mul_ps(magnitudes, factor);
    if constexpr (!Divides) return product;
    // Markstein's correction of a * fl(1 / b) gives fl(a / b), for weights of 8 significant bits at least in every
    // quotient near the midpoint of two codes (tested), as long as nothing leaves the range of normal numbers.
    // With the scales of a DivisionChain, quotients of 2^-60 to 2^20 do not; smaller ones are code
    // 0 in any case, and larger ones stay large or, from an infinite product, become NaN.
    const __m256 rest = _mm256_fnmadd_ps(product, divisor, magnitudes);
    return _mm256_fmadd_ps(rest, factor, product);
  }

  __m256 factor;
  __m256 divisor;
};

template <class Format>
constexpr bool kBytesOfAChain = formats::kPackingOf<Format> == formats::Packing::bytes&& requires {
  Format::kOperand;
};

/// What encodes 32 weights of a format; void where there is nothing faster than its own encode().
template <class Format>
struct VectorOf {
  using type = void;
};
template <class Format>
requires kBytesOfAChain<Format> && std::is_same_v<typename Format::Codec, codec::Int8>
struct VectorOf<Format> {
  using type = Int8Of32<Format::kOperand == formats::Operand::divisor>;
};
template <class Format>
requires kBytesOfAChain<Format> &&(Format::Codec::kShift > 15) && (Format::kOperand != formats::Operand::divisor) struct VectorOf<Format> {
  using type = MinifloatOf32<typename Format::Codec>;
};

template <class Format>
requires(!std::is_void_v<typename VectorOf<Format>::type>) struct Beginning<Format, Bf16Source> {
  static constexpr bool kFast = true;

  /// As many of `n` weights as fill whole vectors.
  static HALFTONE_HD std::size_t encode(const std::byte* __restrict source, std::size_t n, float operand, std::uint8_t* __restrict codes,
                                        std::size_t ahead) {
    const typename VectorOf<Format>::type vector(Format::kOperand == formats::Operand::unused ? 1.0F : operand);
    std::size_t i = 0;
    for (; i + kVectorWeights <= n; i += kVectorWeights) {
      const std::byte* from = source + 2 * i;
      // Into the second-level cache: what is needed next comes from there, and the buffers that wait for lines of
      // the first are few.
      __builtin_prefetch(from + ahead, 0, 2);
      if (i % 64 == 0) __builtin_prefetch(codes + i + ahead / 2, 1, 2);
      const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from) + 1);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + i), vector(first, second));
    }
    return i;
  }
};
