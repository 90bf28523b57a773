#pragma once

// Matrix products of a warpgroup (wgmma): 64 rows of a times n rows of b, both in shared memory with rows of 128 bytes under
// the 128-byte swizzle.

#include "matmul/barrier.cuh"

namespace halftone::cuda::matmul {

/// Bytes of a row of a tile in shared memory.
inline constexpr int kRowBytes = 128;
/// Bytes of a row that one instruction multiplies.
inline constexpr int kStepBytes = 32;

/// Describes the matrix at `rows`, which is aligned to 1024 bytes; `step` of kStepBytes bytes into its rows.
__device__ __forceinline__ std::uint64_t describe(const void* rows, int step) {
  constexpr std::uint64_t kSwizzle128 = 1ULL << 62;
  constexpr std::uint64_t kEightRows = static_cast<std::uint64_t>(8 * kRowBytes / 16) << 32;  // to the next eight, in units of 16 bytes
  constexpr std::uint64_t kUnused = 1ULL << 16;  // the other stride, which swizzled rows have not
  return kSwizzle128 | kEightRows | kUnused | ((shared_address(rows) + static_cast<std::uint32_t>(step * kStepBytes)) >> 4 & 0x3FFF);
}

/// Before the first product after accumulators or shared memory were written.
__device__ __forceinline__ void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Ends a group of products that run asynchronously.
__device__ __forceinline__ void end_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Waits until at most `kLeft` groups of products are under way.
template <int kLeft>
__device__ __forceinline__ void wait_for_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
}

/// Keeps the compiler from moving accesses of accumulators across this place.
template <int kCount>
__device__ __forceinline__ void pin(std::int32_t (&accumulators)[kCount]) {
#pragma unroll
  for (std::int32_t& accumulator : accumulators) asm volatile("" : "+r"(accumulator)::"memory");
}
template <int kCount>
__device__ __forceinline__ void pin(float (&accumulators)[kCount]) {
#pragma unroll
  for (float& accumulator : accumulators) asm volatile("" : "+f"(accumulator)::"memory");
}

/// Codes that are multiplied, and the type of their sums.
struct Int8Codes {
  using Sum = std::int32_t;
};
struct E4M3Codes {
  using Sum = float;
};
/// x is E4M3, w is E5M2.
struct E4M3ByE5M2Codes {
  using Sum = float;
};

/// multiply(): sums += a * b, or sums = a * b without `accumulate`, of 64 rows of a and kN of b.  Thread t of the warpgroup has
/// rows t / 32 * 16 + t % 32 / 4 and eight further; sums[4 i + j] are columns 8 i + t % 4 * 2 + j % 2 of the first (j < 2) and
/// the second row.  wgmma_shapes.cuh has them.
template <class Codes, int kN>
struct Wgmma;

}  // namespace halftone::cuda::matmul
