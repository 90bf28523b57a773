#pragma once

// Codes between registers and memory, packed as a format has them.

#include "formats/format_traits.hpp"
#include "kernels/access.cuh"

namespace halftone::cuda {

template <class Format>
constexpr bool kNibbles = formats::kPackingOf<Format> != formats::Packing::bytes;

/// The fewest elements that a thread can store the codes of.
template <class Format>
constexpr int kFewestCodes = kNibbles<Format> ? 2 : 1;

/// Bytes of `n` codes, an even number where two share one.
template <class Format>
[[nodiscard]] __host__ __device__ constexpr std::uint64_t code_bytes(std::uint64_t n) {
  return kNibbles<Format> ? n / 2 : n;
}

/// `N` codes as they lie in memory.
template <class Format, int N>
using Codes = Chunk<std::uint8_t, static_cast<int>(code_bytes<Format>(N))>;

template <class Format, int N>
[[nodiscard]] __device__ Codes<Format, N> packed(const std::uint32_t (&codes)[N]) {
  Codes<Format, N> made;
  if constexpr (kNibbles<Format>) {
    constexpr bool high_first = formats::kPackingOf<Format> == formats::Packing::high_nibble_first;
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      const std::uint32_t low = codes[high_first ? i + 1 : i];
      const std::uint32_t high = codes[high_first ? i : i + 1];
      made.items[i / 2] = static_cast<std::uint8_t>(low | high << 4);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) made.items[i] = static_cast<std::uint8_t>(codes[i]);
  }
  return made;
}

/// Code `i` of those in `codes`.
template <class Format, int Bytes>
[[nodiscard]] __device__ std::uint8_t code_at(const Chunk<std::uint8_t, Bytes>& codes, int i) {
  if constexpr (kNibbles<Format>) {
    constexpr int first = formats::kPackingOf<Format> == formats::Packing::high_nibble_first ? 4 : 0;
    return static_cast<std::uint8_t>(codes.items[i / 2] >> (i % 2 == 0 ? first : 4 - first) & 15);
  } else {
    return codes.items[i];
  }
}

}  // namespace halftone::cuda
