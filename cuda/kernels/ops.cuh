#pragma once

// What the flat kernels do with a chunk of elements.

#include "kernels/magnitude.cuh"
#include "kernels/reduce.cuh"

namespace halftone::cuda {

/// The bits of the largest magnitude, and nothing else.
template <class Source>
struct MaxMagnitude {
  using Out = std::uint8_t;
  static constexpr bool kWrites = false;
  static constexpr bool kReadAgain = true;
  static constexpr bool kFollows = false;
  std::uint32_t* largest;  ///< raised
  LargestMagnitude<Source> found = {};

  template <int Width>
  __device__ Chunk<Out, Width> operator()(const Chunk<typename Source::Raw, Width>& chunk) {
    found.add(chunk);
    return {};
  }
  __device__ void begin() const {}
  __device__ void finish() const {
    const std::uint32_t of_warp = __reduce_max_sync(0xFFFF'FFFFU, found.bits());
    if (threadIdx.x % 32 == 0) SharedMax(largest).raise(of_warp);
  }
};

/// The code with one scale for all.
template <class Format, class Source>
struct Encode {
  using Out = std::uint8_t;
  static constexpr bool kWrites = true;
  static constexpr bool kReadAgain = false;
  static constexpr bool kFollows = false;
  float scale;  ///< operand of Format::encode

  template <int Width>
  __device__ Chunk<Out, Width> operator()(const Chunk<typename Source::Raw, Width>& chunk) const {
    Chunk<Out, Width> made;
#pragma unroll
    for (int i = 0; i < Width; ++i) made.items[i] = static_cast<Out>(Format::encode(Source::decode(chunk.items[i]), scale));
    return made;
  }
  __device__ void begin() const {}
  __device__ void finish() const {}
};

/// The code with the scale of a maximum that lies in device memory.
template <class Format, class Source>
struct EncodeMeasured {
  using Out = std::uint8_t;
  static constexpr bool kWrites = true;
  static constexpr bool kReadAgain = false;
  static constexpr bool kFollows = true;
  const std::uint32_t* largest;  ///< bits of the largest magnitude
  float scale = 0;

  __device__ void begin() { scale = Format::scale_from_amax(codec::from_bits(*largest)).encode; }
  template <int Width>
  __device__ Chunk<Out, Width> operator()(const Chunk<typename Source::Raw, Width>& chunk) const {
    return Encode<Format, Source>{scale}(chunk);
  }
  __device__ void finish() const {}
};

/// The code without a scale, and the bits of the largest magnitude.
template <class Format, class Source>
struct EncodeAndMeasure {
  using Out = std::uint8_t;
  static constexpr bool kWrites = true;
  static constexpr bool kReadAgain = false;
  static constexpr bool kFollows = false;
  MaxMagnitude<Source> measure;

  template <int Width>
  __device__ Chunk<Out, Width> operator()(const Chunk<typename Source::Raw, Width>& chunk) {
    measure(chunk);
    return Encode<Format, Source>{1.0F}(chunk);
  }
  __device__ void begin() const {}
  __device__ void finish() const { measure.finish(); }
};

/// Another float type.
template <class Source, class Target>
struct Cast {
  using Out = typename Target::Raw;
  static constexpr bool kWrites = true;
  static constexpr bool kReadAgain = false;
  static constexpr bool kFollows = false;

  template <int Width>
  __device__ Chunk<Out, Width> operator()(const Chunk<typename Source::Raw, Width>& chunk) const {
    Chunk<Out, Width> made;
#pragma unroll
    for (int i = 0; i < Width; ++i) made.items[i] = Target::encode(Source::decode(chunk.items[i]));
    return made;
  }
  __device__ void begin() const {}
  __device__ void finish() const {}
};

}  // namespace halftone::cuda
