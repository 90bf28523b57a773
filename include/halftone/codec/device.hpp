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

}  // namespace halftone::codec::device

#endif
