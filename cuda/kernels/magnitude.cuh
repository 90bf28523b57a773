#pragma once

#include <halftone/codec/hd.hpp>

#include "kernels/access.cuh"

namespace halftone::cuda {

/// The largest magnitude of what was added.
template <class Source>
class LargestMagnitude {
 public:
  template <int Width>
  __device__ void add(const Chunk<typename Source::Raw, Width>& chunk) {
    if constexpr (kHalf && Width % 2 == 0) {
      // Magnitudes of 16-bit floats order like their bits: two are compared at a time.
      std::uint32_t pairs[Width / 2];
      memcpy(pairs, &chunk, sizeof pairs);
#pragma unroll
      for (int i = 0; i < Width / 2; ++i) found_ = __vmaxu2(found_, pairs[i] & 0x7FFF'7FFFU);
    } else if constexpr (kHalf) {
#pragma unroll
      for (int i = 0; i < Width; ++i) found_ = max(found_, chunk.items[i] & 0x7FFFU);
    } else {
#pragma unroll
      for (int i = 0; i < Width; ++i) found_ = max(found_, codec::bits(Source::decode(chunk.items[i])) & codec::kMagnitudeMask);
    }
  }

  /// Its bits in binary32.
  [[nodiscard]] __device__ std::uint32_t bits() const {
    if constexpr (!kHalf) return found_;
    const std::uint32_t largest = max(found_ & 0xFFFFU, found_ >> 16);
    return codec::bits(Source::decode(static_cast<typename Source::Raw>(largest)));
  }

 private:
  static constexpr bool kHalf = sizeof(typename Source::Raw) == 2;
  std::uint32_t found_ = 0;  ///< of 16-bit types two, one in each half
};

}  // namespace halftone::cuda
