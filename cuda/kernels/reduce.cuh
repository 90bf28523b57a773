#pragma once

#include <cstdint>

namespace halftone::cuda {

/// A maximum in device memory that many threads raise.  Most values are small: a look at what is there saves the
/// atomic operation, and costs no time where it is taken early.
class SharedMax {
 public:
  /// `raises`: whether this thread will call raise().
  __device__ explicit SharedMax(std::uint32_t* largest, bool raises = true)
      : largest_(largest), known_(raises ? *static_cast<volatile std::uint32_t*>(largest) : 0U) {}
  __device__ void raise(std::uint32_t value) const {
    if (value > known_) atomicMax(largest_, value);
  }

 private:
  std::uint32_t* largest_;
  std::uint32_t known_;  ///< what was there, or less than what is there now
};

/// The largest `value` of the `threads` threads of a row of threads in a block, whole warps; `shared` holds one word for
/// each of these warps.  All threads of the block must call it.
__device__ inline std::uint32_t max_over_row(std::uint32_t value, unsigned threads, std::uint32_t* shared) {
  value = __reduce_max_sync(0xFFFF'FFFFU, value);
  if (threads == 32) return value;
  const unsigned lane = threadIdx.x % 32;
  if (lane == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  return __reduce_max_sync(0xFFFF'FFFFU, lane < threads / 32 ? shared[lane] : 0U);
}

/// Two maxima over a row of threads: of all threads, and, for the first warp of the row alone, of what else they saw.
struct RowMaxima {
  std::uint32_t value;
  std::uint32_t seen;
};

/// Like max_over_row(), of two values.
__device__ inline RowMaxima maxima_over_row(RowMaxima own, unsigned threads, RowMaxima* shared) {
  RowMaxima found{__reduce_max_sync(0xFFFF'FFFFU, own.value), __reduce_max_sync(0xFFFF'FFFFU, own.seen)};
  if (threads == 32) return found;
  const unsigned lane = threadIdx.x % 32;
  if (lane == 0) shared[threadIdx.x / 32] = found;
  __syncthreads();
  found = lane < threads / 32 ? shared[lane] : RowMaxima{};
  return {__reduce_max_sync(0xFFFF'FFFFU, found.value), threadIdx.x < 32 ? __reduce_max_sync(0xFFFF'FFFFU, found.seen) : 0U};
}

/// The largest `value` of the `threads` consecutive threads of a block to which this thread
/// belongs; `threads` is a multiple of 32 that divides the block's size.  All threads of the block
/// must call it.  `shared` holds one word for each warp.
__device__ inline std::uint32_t max_over_threads(std::uint32_t value, unsigned threads, std::uint32_t* shared) {
  value = __reduce_max_sync(0xFFFF'FFFFU, value);
  if (threads == 32) return value;
  const unsigned warp = threadIdx.x / 32;
  if (threadIdx.x % 32 == 0) shared[warp] = value;
  __syncthreads();
  const unsigned warps = threads / 32;
  const unsigned first = warp / warps * warps;
  const unsigned lane = threadIdx.x % 32;
  return __reduce_max_sync(0xFFFF'FFFFU, lane < warps ? shared[first + lane] : 0U);
}

}  // namespace halftone::cuda
