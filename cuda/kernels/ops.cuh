#pragma once

// What the flat kernels do with an element.

#include <halftone/codec/hd.hpp>

#include "kernels/reduce.cuh"

namespace halftone::cuda {

/// The bits of the largest magnitude, and nothing else.
template <class Source>
struct MaxMagnitude {
  static constexpr bool kWrites = false;
  std::uint32_t* largest;  ///< raised
  std::uint32_t found = 0;

  __device__ std::uint8_t operator()(typename Source::Raw raw) {
    found = max(found, codec::bits(Source::decode(raw)) & codec::kMagnitudeMask);
    return 0;
  }
  __device__ void finish() const {
    const std::uint32_t of_warp = __reduce_max_sync(0xFFFF'FFFFU, found);
    if (threadIdx.x % 32 == 0) raise(largest, of_warp);
  }
};

/// The code with one scale for all.
template <class Format, class Source>
struct Encode {
  static constexpr bool kWrites = true;
  float scale;  ///< operand of Format::encode

  __device__ std::uint8_t operator()(typename Source::Raw raw) const {
    return static_cast<std::uint8_t>(Format::encode(Source::decode(raw), scale));
  }
  __device__ void finish() const {}
};

/// The code without a scale, and the bits of the largest magnitude.
template <class Format, class Source>
struct EncodeAndMeasure {
  static constexpr bool kWrites = true;
  MaxMagnitude<Source> measure;

  __device__ std::uint8_t operator()(typename Source::Raw raw) {
    measure(raw);
    return static_cast<std::uint8_t>(Format::encode(Source::decode(raw), 1.0F));
  }
  __device__ void finish() const { measure.finish(); }
};

/// Another float type.
template <class Source, class Target>
struct Cast {
  static constexpr bool kWrites = true;
  __device__ typename Target::Raw operator()(typename Source::Raw raw) const { return Target::encode(Source::decode(raw)); }
  __device__ void finish() const {}
};

}  // namespace halftone::cuda
