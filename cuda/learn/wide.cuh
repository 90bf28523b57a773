#pragma once

#include <cstdint>

#include <cuda_fp16.h>

namespace halftone::cuda {

// kWide consecutive elements of a matrix as binary32: 8, whose address is a multiple of their size, or 1.  `stream`: of
// what is read or written once, so that the cache keeps other things.

template <int kWide>
__device__ void load(const float* from, float (&values)[kWide]) {
  if constexpr (kWide == 1) {
    values[0] = *from;
  } else {
    static_assert(kWide == 8);
    const auto* wide = reinterpret_cast<const float4*>(from);
    const float4 low = wide[0];
    const float4 high = wide[1];
    const float all[kWide] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    for (int i = 0; i < kWide; ++i) values[i] = all[i];
  }
}

template <int kWide>
__device__ void load_stream(const float* from, float (&values)[kWide]) {
  if constexpr (kWide == 1) {
    values[0] = __ldcs(from);
  } else {
    static_assert(kWide == 8);
    const auto* wide = reinterpret_cast<const float4*>(from);
    const float4 low = __ldcs(wide);
    const float4 high = __ldcs(wide + 1);
    const float all[kWide] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    for (int i = 0; i < kWide; ++i) values[i] = all[i];
  }
}

template <int kWide>
__device__ void store_stream(const float (&values)[kWide], float* to) {
  if constexpr (kWide == 1) {
    __stcs(to, values[0]);
  } else {
    static_assert(kWide == 8);
    auto* wide = reinterpret_cast<float4*>(to);
    __stcs(wide, make_float4(values[0], values[1], values[2], values[3]));
    __stcs(wide + 1, make_float4(values[4], values[5], values[6], values[7]));
  }
}

template <int kWide>
__device__ void store(const float (&values)[kWide], float* to) {
  if constexpr (kWide == 1) {
    *to = values[0];
  } else {
    static_assert(kWide == 8);
    auto* wide = reinterpret_cast<float4*>(to);
    wide[0] = make_float4(values[0], values[1], values[2], values[3]);
    wide[1] = make_float4(values[4], values[5], values[6], values[7]);
  }
}

template <int kWide>
__device__ void load(const __half* from, float (&values)[kWide]) {
  if constexpr (kWide == 1) {
    values[0] = __half2float(*from);
  } else {
    static_assert(kWide == 8);
    const uint4 raw = *reinterpret_cast<const uint4*>(from);
    const std::uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
    for (int i = 0; i < 4; ++i) {
      const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&words[i]));
      values[2 * i] = pair.x;
      values[2 * i + 1] = pair.y;
    }
  }
}

template <int kWide>
__device__ void store(const float (&values)[kWide], __half* to) {
  if constexpr (kWide == 1) {
    *to = __float2half_rn(values[0]);
  } else {
    static_assert(kWide == 8);
    std::uint32_t words[4];
    for (int i = 0; i < 4; ++i) {
      const __half2 pair = __floats2half2_rn(values[2 * i], values[2 * i + 1]);
      words[i] = *reinterpret_cast<const std::uint32_t*>(&pair);
    }
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

/// kWide elements as they lie in memory: those of binary16 wait for their use in half the registers.
template <class T, int kWide>
struct alignas(sizeof(T) * kWide <= 16 ? sizeof(T) * kWide : 16) Packed {
  T at[kWide];
};

template <int kWide, class T>
__device__ Packed<T, kWide> load_packed(const T* from) {
  return *reinterpret_cast<const Packed<T, kWide>*>(from);
}

template <class T, int kWide>
__device__ void unpack(const Packed<T, kWide>& packed, float (&values)[kWide]) {
  load(packed.at, values);
}

}  // namespace halftone::cuda
