#pragma once

#include <cstdint>

// Conversions of GPUs from compute capability 8.9 on, where a test over every input says that they
// give what the portable functions give.  Only device code sees them.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890

#define HALFTONE_DEVICE_CONVERSIONS 1

namespace halftone::codec::device {

/// The E4M3 code of `value` clamped to ±448; not for NaN.
__device__ __forceinline__ std::uint32_t to_e4m3(float value) {
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0F), "f"(value));
  return pair;
}

/// The E5M2 code of `value` clamped to ±57344; not for NaN.
__device__ __forceinline__ std::uint32_t to_e5m2(float value) {
  std::uint16_t pair;
  asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0F), "f"(value));
  return pair;
}

/// The value of a binary16; NaN as the device spells it.
__device__ __forceinline__ float from_f16(std::uint16_t code) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(code));
  return value;
}

/// The value of an E4M3 code, which binary16 holds exactly; NaN as the device spells it.
__device__ __forceinline__ float from_e4m3(std::uint8_t code) {
  std::uint32_t pair;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(pair) : "h"(static_cast<std::uint16_t>(code)));
  return from_f16(static_cast<std::uint16_t>(pair));
}

/// The value of an E5M2 code, the upper half of a binary16; NaN as the device spells it.
__device__ __forceinline__ float from_e5m2(std::uint8_t code) { return from_f16(static_cast<std::uint16_t>(code << 8)); }

/// `value` rounded to binary16; not for NaN.
__device__ __forceinline__ std::uint16_t to_f16(float value) {
  std::uint16_t code;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(code) : "f"(value));
  return code;
}

/// `value` rounded to bfloat16; not for NaN.
__device__ __forceinline__ std::uint16_t to_bf16(float value) {
  std::uint16_t code;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(code) : "f"(value));
  return code;
}

/// a / b rounded to nearest, by Markstein's theorem: one correction of a * (1 / b) with the
/// correctly rounded reciprocal is exact as long as nothing leaves the range of normal numbers.
/// For a `b` that is normal, and whose reciprocal is, that holds for quotients from 2^-60 to 2^20; a
/// smaller or larger one may be off in its last place.
__device__ __forceinline__ float divide(float a, float b) {
  const float reciprocal = __frcp_rn(b);
  const float quotient = __fmul_rn(a, reciprocal);
  const float rest = __fmaf_rn(-quotient, b, a);
  // A quotient that overflows has no rest.
  return fabsf(quotient) < 0x1p20F ? __fmaf_rn(rest, reciprocal, quotient) : quotient;
}

/// 1 / divisor, rounded to nearest, for a divisor from 2^-60 to 2^126: what __frcp_rn() does there, without looking.
__device__ __forceinline__ float ordinary_reciprocal(float divisor) {
  float about;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(about) : "f"(divisor));
  const float excess = __fmaf_rn(about, divisor, -1.0F);
  return __fmaf_rn(about, -excess, about);
}

/// Adds `added` to `word` where `value` is above 0: a comparison and one more instruction.
__device__ __forceinline__ void add_where_positive(std::uint32_t& word, std::uint32_t added, float value) {
  asm("{\n\t.reg .pred positive;\n\tsetp.gt.f32 positive, %2, 0f00000000;\n\t@positive add.u32 %0, %0, %1;\n\t}"
      : "+r"(word)
      : "r"(added), "f"(value));
}

/// fl(value / divisor) for a divisor from 2^-60 to 2^126 and magnitudes of at most 2^20 times of it; quotients below 2^-60
/// may be off in their last place.  A quotient of -0 stays -0.
__device__ __forceinline__ float ordinary_quotient(float value, float divisor) {
  const float reciprocal = ordinary_reciprocal(divisor);
  const float first = __fmul_rn(value, reciprocal);
  const float excess = __fmaf_rn(first, divisor, -value);
  return __fmaf_rn(-excess, reciprocal, first);
}

/// The same for any divisor of at least 0.
__device__ __forceinline__ float quotient(float value, float divisor) {
  // Both are brought to where nothing underflows; a compiler does this once for all values of a divisor.
  const float factor = divisor < 0x1p-60F ? 0x1p64F : divisor > 0x1p60F ? 0x1p-64F : 1.0F;
  return ordinary_quotient(value * factor, divisor * factor);
}

/// The E2M1 code of `magnitude`, at least 0, clamped to 6, with the sign of `value`.  Rounded to steps of 1/2, 1 and 2, each
/// time as the code that this would be, a magnitude never gets a smaller code than the right one, and with its own step
/// gets that.
__device__ __forceinline__ std::uint32_t to_e2m1(float value, float magnitude) {
  constexpr float magic = 8388608.0F;  // 2^23, whose unit in the last place is 1
  const float halves = __fmaf_rn(magnitude, 2.0F, magic);
  const float ones = magnitude + (magic + 2.0F);
  const float twos = __fmaf_rn(magnitude, 0.5F, magic + 4.0F);
  const float code = fminf(fminf(halves, ones), fminf(twos, magic + 7.0F));
  // Three bits of the code, and what is above them of four bits of the value: one instruction.
  return (__float_as_uint(code) & 7U) | (__float_as_uint(value) >> 28 & ~7U);
}

/// `value` clamped to ±most and rounded to an integer, ties to even; its low bits, above which others follow.  NaN gives
/// `most`, as a positive NaN does elsewhere.
__device__ __forceinline__ std::uint32_t to_integer(float value, float most) {
  constexpr float magic = 12582912.0F;  // 1.5 * 2^23, whose unit in the last place is 1
  return __float_as_uint(fmaxf(fminf(value, most), -most) + magic);
}

}  // namespace halftone::codec::device

#endif
