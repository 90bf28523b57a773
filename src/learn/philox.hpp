#pragma once

#include <cstdint>

#include <halftone/codec/hd.hpp>

namespace halftone::learn {

/// Four random words for each counter: Philox 4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).
struct PhiloxWords {
  std::uint32_t word[4];
};

[[nodiscard]] HALFTONE_HD PhiloxWords philox(std::uint64_t counter, std::uint64_t key) {
  constexpr std::uint64_t multiplier_0 = 0xD251'1F53U;
  constexpr std::uint64_t multiplier_1 = 0xCD9E'8D57U;
  constexpr std::uint32_t weyl_0 = 0x9E37'79B9U;
  constexpr std::uint32_t weyl_1 = 0xBB67'AE85U;
  PhiloxWords x{{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0U, 0U}};
  auto key_0 = static_cast<std::uint32_t>(key);
  auto key_1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product_0 = multiplier_0 * x.word[0];
    const std::uint64_t product_1 = multiplier_1 * x.word[2];
    x = {{static_cast<std::uint32_t>(product_1 >> 32) ^ x.word[1] ^ key_0, static_cast<std::uint32_t>(product_1),
          static_cast<std::uint32_t>(product_0 >> 32) ^ x.word[3] ^ key_1, static_cast<std::uint32_t>(product_0)}};
    key_0 += weyl_0;
    key_1 += weyl_1;
  }
  return x;
}

/// +1 or -1, for the `index`-th element of a random matrix: one bit of the words of its 128.
[[nodiscard]] HALFTONE_HD float random_sign(std::uint64_t index, std::uint64_t seed) {
  const PhiloxWords words = philox(index / 128, seed);
  return (words.word[index / 32 % 4] >> (index % 32) & 1U) != 0 ? 1.0F : -1.0F;
}

}  // namespace halftone::learn
