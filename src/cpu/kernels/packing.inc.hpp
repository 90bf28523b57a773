// Part of kernels.inc.hpp; no include guard.
//
// Codes, a word each, put together as a format has them.

/// Keeps the low byte of each of `n` words; every word is at most 255.
HALFTONE_HD void pack_bytes(const std::uint32_t* __restrict words, std::size_t n, std::uint8_t* __restrict out) {
  std::size_t i = 0;
#if defined(__AVX2__) && !defined(__AVX512BW__)
  // Packing works within 128-bit lanes; the permutation puts the groups of four back in order.
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  for (; i + 32 <= n; i += 32) {
    const auto* in = reinterpret_cast<const __m256i*>(words + i);
    const __m256i low = _mm256_packus_epi32(_mm256_loadu_si256(in), _mm256_loadu_si256(in + 1));
    const __m256i high = _mm256_packus_epi32(_mm256_loadu_si256(in + 2), _mm256_loadu_si256(in + 3));
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), bytes);
  }
#endif
  for (; i < n; ++i) out[i] = static_cast<std::uint8_t>(words[i]);
}

/// Puts `n` codes of half a byte together; an odd last one gets a neighbour of 0.
template <formats::Packing Order>
HALFTONE_HD void pack_nibbles(const std::uint32_t* __restrict words, std::size_t n, std::uint8_t* __restrict out) {
  constexpr bool high_first = Order == formats::Packing::high_nibble_first;
  for (std::size_t i = 0; i < n / 2; ++i) {
    const std::uint32_t first = words[2 * i];
    const std::uint32_t second = words[2 * i + 1];
    out[i] = static_cast<std::uint8_t>(high_first ? first << 4 | second : first | second << 4);
  }
  if (n % 2 != 0) out[n / 2] = static_cast<std::uint8_t>(high_first ? words[n - 1] << 4 : words[n - 1]);
}

template <formats::Packing Order>
HALFTONE_HD void pack(const std::uint32_t* words, std::size_t n, std::uint8_t* out) {
  if constexpr (Order == formats::Packing::bytes) {
    pack_bytes(words, n, out);
  } else {
    pack_nibbles<Order>(words, n, out);
  }
}

/// Bytes of `n` codes.
template <class Format>
HALFTONE_HD std::size_t code_bytes(std::size_t n) {
  return formats::kPackingOf<Format> == formats::Packing::bytes ? n : n / 2;
}
