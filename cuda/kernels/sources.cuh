#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

#include <halftone/codec/half.hpp>

#include "kernels/access.cuh"

namespace halftone::cuda {

// The types of float_type.def: how an element is stored, and its value in binary32.  Those that are written also have encode(), and
// encode_number(), which takes no NaN.

struct F64 {
  using Raw = double;
  static __device__ float decode(Raw raw) { return static_cast<float>(raw); }
};
struct F32 {
  using Raw = float;
  static __device__ float decode(Raw raw) { return raw; }
  static __device__ Raw encode(float value) { return value; }
  static __device__ Raw encode_number(float value) { return value; }
};
struct Bf16 {
  using Raw = std::uint16_t;
  static __device__ float decode(Raw raw) { return codec::Bf16::decode(raw); }
  static __device__ Raw encode(float value) { return codec::Bf16::encode(value); }
  static __device__ Raw encode_number(float value) { return codec::Bf16::encode_number(value); }
};
struct F16 {
  using Raw = std::uint16_t;
  static __device__ float decode(Raw raw) { return codec::F16::decode(raw); }
  static __device__ Raw encode(float value) { return codec::F16::encode(value); }
  static __device__ Raw encode_number(float value) { return codec::F16::encode_number(value); }
};

template <class Float>
concept Written = requires(float value) {
  Float::encode(value);
};

/// The values of a chunk; NaN as the device spells it.
template <class Source, int N>
__device__ void decode_chunk(const Chunk<typename Source::Raw, N>& chunk, float (&values)[N]) {
  if constexpr (std::is_same_v<Source, Bf16> && N % 2 == 0) {
    // A word holds two, and gives each in one instruction.
    std::uint32_t words[N / 2];
    memcpy(words, &chunk, sizeof words);
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = codec::from_bits(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xFFFF'0000U);
#if HALFTONE_DEVICE_CONVERSIONS
  } else if constexpr (std::is_same_v<Source, F16>) {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = codec::device::from_f16(chunk.items[i]);
#endif
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = Source::decode(chunk.items[i]);
  }
}

}  // namespace halftone::cuda
