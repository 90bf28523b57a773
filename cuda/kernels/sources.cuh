#pragma once

#include <cstdint>

#include <halftone/codec/half.hpp>

namespace halftone::cuda {

// The types that weights are read from: how an element is stored, and its value in binary32.

struct F64 {
  using Raw = double;
  static __device__ float decode(Raw raw) { return static_cast<float>(raw); }
};
struct F32 {
  using Raw = float;
  static __device__ float decode(Raw raw) { return raw; }
  static __device__ Raw encode(float value) { return value; }
};
struct Bf16 {
  using Raw = std::uint16_t;
  static __device__ float decode(Raw raw) { return codec::Bf16::decode(raw); }
  static __device__ Raw encode(float value) { return codec::Bf16::encode(value); }
};
struct F16 {
  using Raw = std::uint16_t;
  static __device__ float decode(Raw raw) { return codec::F16::decode(raw); }
  static __device__ Raw encode(float value) { return codec::F16::encode(value); }
};

}  // namespace halftone::cuda
