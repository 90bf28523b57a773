#pragma once

// Runs of which a table of errors leaves several scales open: a warp tries these as the format computes their errors.

#include <halftone/codec/hd.hpp>

#include "kernels/shared_table.cuh"
#include "kernels/sources.cuh"

namespace halftone::cuda {

/// A run of which several scales are open, in shared memory: what a thread knows of it, and what its warp finds.
template <class Format>
struct OpenRun {
  static constexpr int kWords = RunTable<Format>::kWeights / 2;

  alignas(16) std::uint32_t words[kWords];  ///< its weights
  std::uint32_t open;                       ///< bit i for code origin + i
  std::uint16_t origin;
  std::uint16_t plain;
  std::uint32_t best;  ///< the code of the best scale
};

/// Four threads try a scale, each with a quarter of the weights; so a warp has two scales of four runs at a time.
constexpr unsigned kTryThreads = 4;
constexpr unsigned kRunsAtATime = 32 / (2 * kTryThreads);

/// The squared error of 16 weights over four neighbouring threads: lane by lane, and then by halves
/// (KernelTable::squared_error).
template <class Format>
[[nodiscard]] __device__ float squared_error_of_four(const std::uint16_t* weights, float scale) {
  static_assert(RunTable<Format>::kWeights == 16 && kTryThreads == 4);
  float errors[4];
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {
    const float magnitude = codec::magnitude(Bf16::decode(weights[threadIdx.x % kTryThreads + i * kTryThreads]));
    errors[i] = RunTable<Format>::squared_error(magnitude, scale);
  }
  float sum = (errors[0] + errors[2]) + (errors[1] + errors[3]);
  sum += __shfl_xor_sync(0xFFFF'FFFFU, sum, 2);
  sum += __shfl_xor_sync(0xFFFF'FFFFU, sum, 1);
  return sum;
}

/// Finds the best one of the open scales of `count` runs: of equally good ones the plain one, or else the smallest.
/// All threads of a warp must call it.
template <class Format>
__device__ void try_open(OpenRun<Format>* runs, unsigned count, float tensor) {
  const unsigned place = threadIdx.x % 32 / (2 * kTryThreads);
  const bool is_second = threadIdx.x % (2 * kTryThreads) >= kTryThreads;
  for (unsigned first = 0; first < count; first += kRunsAtATime) {
    OpenRun<Format>& run = runs[first + place < count ? first + place : first];
    const auto* weights = reinterpret_cast<const std::uint16_t*>(run.words);
    const std::uint32_t plain = run.plain;
    std::uint32_t open = run.open;
    std::uint32_t best = plain;
    float least = codec::from_bits(codec::kInfinityBits);
    const auto compare = [&best, &least, plain](float error, std::uint32_t code) {
      if (!(error < least || (error == least && code == plain))) return;
      least = error;
      best = code;
    };
    while (__any_sync(0xFFFF'FFFFU, open != 0)) {
      // The lowest two; where none is left, the plain one again, which changes nothing.
      const std::uint32_t one = open != 0 ? run.origin + static_cast<std::uint32_t>(__ffs(static_cast<int>(open))) - 1 : plain;
      open &= open - 1;
      const std::uint32_t other = open != 0 ? run.origin + static_cast<std::uint32_t>(__ffs(static_cast<int>(open))) - 1 : one;
      open &= open - 1;
      const float scale = Format::decode_operand(static_cast<std::uint8_t>(is_second ? other : one), tensor);
      const float mine = squared_error_of_four<Format>(weights, scale);
      const float theirs = __shfl_xor_sync(0xFFFF'FFFFU, mine, kTryThreads);
      compare(is_second ? theirs : mine, one);
      compare(is_second ? mine : theirs, other);
    }
    if (threadIdx.x % (2 * kTryThreads) == 0 && first + place < count) run.best = best;
  }
}

}  // namespace halftone::cuda
