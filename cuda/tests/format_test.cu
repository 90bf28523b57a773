// Scales, codes and values of every format of formats.def: device against host.
#include <cmath>

#include <halftone/codec/half.hpp>

#include "formats/all_formats.hpp"
#include "formats/format_traits.hpp"
#include "sweep.cuh"

namespace halftone::test {
namespace {

class Format : public GpuTest {};
class FormatExhaustive : public GpuTest {};

inline constexpr std::uint32_t kScales = 64;

/// A scale of the whole weight, for the formats of two levels: that of a largest weight of 3.
inline constexpr float kTensorScale = 3.0F / 2688.0F;

/// The scale of a group as encode() and decode() take it.
struct Operands {
  float encode;
  float decode;
};

template <class F>
[[nodiscard]] HALFTONE_HD Operands operands_of(float amax) {
  const auto scale = formats::group_scale<F>(amax, kTensorScale);
  return {scale.encode, formats::decode_operand<F>(scale.stored, kTensorScale)};
}

/// Both in one result: encode in the low half, decode in the high half.
[[nodiscard]] HALFTONE_HD std::uint64_t both_bits(const Operands& scale) {
  return codec::bits(scale.encode) | std::uint64_t{codec::bits(scale.decode)} << 32;
}

/// `weight`, or 0 where it is too large for the scale of `amax`: formats of four bits divide, and take no quotient beyond
/// 2^20 (codec/quotient.hpp).
template <class F>
[[nodiscard]] HALFTONE_HD float fitting(float weight, float amax) {
  if (formats::kPackingOf<F> == formats::Packing::bytes) return weight;
  return codec::magnitude(weight) < 1024.0F * amax ? weight : 0.0F;
}

/// The largest weight of scale `k` of kScales: spread evenly over the bit patterns from 0 to the largest finite value.
[[nodiscard]] HALFTONE_HD float amax_of_scale(std::uint64_t k) {
  return codec::from_bits(static_cast<std::uint32_t>(std::uint64_t{0x7F7F'FFFFU} * k / (kScales - 1)));
}

template <class F>
void fill_scales(Operands (&scales)[kScales]) {
  for (std::uint32_t k = 0; k < kScales; ++k) scales[k] = operands_of<F>(amax_of_scale(k));
}

/// The scale of each maximum, indexed by the maximum's bit pattern.
template <class F>
struct ScaleOfMaximum {
  using Result = std::uint64_t;
  [[nodiscard]] static HALFTONE_HD float amax(std::uint64_t pattern) { return codec::from_bits(static_cast<std::uint32_t>(pattern)); }
  HALFTONE_HD Result operator()(std::uint64_t pattern) const { return both_bits(operands_of<F>(amax(pattern))); }
  [[nodiscard]] std::string describe(std::uint64_t pattern) const { return "amax " + show(amax(pattern)); }
};

/// Codes of every bfloat16 but NaN, at each of kScales scales.
template <class F>
struct EncodeBf16 {
  using Result = std::uint8_t;
  static constexpr std::uint64_t kCount = kScales * kEveryHalf;
  Operands scales[kScales];
  EncodeBf16() { fill_scales<F>(scales); }
  [[nodiscard]] static HALFTONE_HD float weight(std::uint64_t index) {
    return fitting<F>(zero_if_nan(codec::Bf16::decode(static_cast<std::uint16_t>(index))), amax_of_scale(index / kEveryHalf));
  }
  HALFTONE_HD Result operator()(std::uint64_t index) const {
    return static_cast<Result>(F::encode(weight(index), scales[index / kEveryHalf].encode));
  }
  [[nodiscard]] std::string describe(std::uint64_t index) const {
    return "weight " + show(weight(index)) + ", scale " + show(scales[index / kEveryHalf].encode);
  }
};

/// Values of every code at each of kScales stored scales.  The last three are not what Halftone
/// writes, but a file may hold them.
template <class F>
struct DecodeCode {
  using Result = std::uint32_t;
  static constexpr std::uint64_t kCount = kScales * kEveryCode;
  Operands scales[kScales];
  DecodeCode() {
    fill_scales<F>(scales);
    scales[kScales - 3].decode = 0.0F;
    scales[kScales - 2].decode = INFINITY;
    scales[kScales - 1].decode = NAN;
  }
  HALFTONE_HD Result operator()(std::uint64_t index) const {
    return codec::bits(F::decode(static_cast<std::uint8_t>(index), scales[index / kEveryCode].decode));
  }
  [[nodiscard]] std::string describe(std::uint64_t index) const {
    return "code " + std::to_string(index % kEveryCode) + ", scale " + show(scales[index / kEveryCode].decode);
  }
};

/// A random weight under a random maximum, quantized and dequantized: the code in the low half of
/// the result, the value in the high half.
template <class F>
struct RoundTrip {
  using Result = std::uint64_t;
  struct Sample {
    float weight, amax;
  };
  std::uint64_t seed;
  /// Any finite maximum; every other weight is within it, the rest are any floats but NaN.
  [[nodiscard]] HALFTONE_HD Sample sample(std::uint64_t index) const {
    const std::uint64_t x = random_bits(seed, 2 * index);
    const auto y = static_cast<std::uint32_t>(random_bits(seed, 2 * index + 1));
    const float amax = codec::from_bits(static_cast<std::uint32_t>(x % codec::kInfinityBits));
    const float fraction = static_cast<float>(static_cast<std::int32_t>(y)) * 0x1p-31F;
    return {index % 2 == 0 ? fraction * amax : fitting<F>(zero_if_nan(codec::from_bits(y)), amax), amax};
  }
  HALFTONE_HD Result operator()(std::uint64_t index) const {
    const Sample s = sample(index);
    const Operands scale = operands_of<F>(s.amax);
    const std::uint32_t code = F::encode(s.weight, scale.encode);
    return code | std::uint64_t{codec::bits(F::decode(static_cast<std::uint8_t>(code), scale.decode))} << 32;
  }
  [[nodiscard]] std::string describe(std::uint64_t index) const {
    const Sample s = sample(index);
    return "seed " + std::to_string(seed) + ", weight " + show(s.weight) + ", amax " + show(s.amax);
  }
};

constexpr std::uint64_t kEveryFiniteMaximum = codec::kInfinityBits;
constexpr std::uint64_t kSamples = std::uint64_t{1} << 24;

#define HALFTONE_FORMAT(folder)                                                                  \
  TEST_F(FormatExhaustive, folder##_scales_of_every_maximum) {                                   \
    EXPECT_TRUE(same_on_device(ScaleOfMaximum<formats::folder::Format>{}, kEveryFiniteMaximum)); \
  }                                                                                              \
  TEST_F(Format, folder##_encodes_every_bf16) {                                                  \
    const EncodeBf16<formats::folder::Format> encode;                                            \
    EXPECT_TRUE(same_on_device(encode, encode.kCount));                                          \
  }                                                                                              \
  TEST_F(Format, folder##_decodes_every_code) {                                                  \
    const DecodeCode<formats::folder::Format> decode;                                            \
    EXPECT_TRUE(same_on_device(decode, decode.kCount));                                          \
  }                                                                                              \
  TEST_F(Format, folder##_takes_random_weights_there_and_back) {                                 \
    EXPECT_TRUE(same_on_device(RoundTrip<formats::folder::Format>{test_seed()}, kSamples));      \
  }
#include "formats/formats.def"
#undef HALFTONE_FORMAT

}  // namespace
}  // namespace halftone::test
