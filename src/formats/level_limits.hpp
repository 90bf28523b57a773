#pragma once

#include <cstdint>

#include <halftone/codec/codebook.hpp>

namespace halftone::formats {

/// What lies `offset` bytes behind the beginning of a table.
template <class T>
[[nodiscard]] HALFTONE_HD T entry_at(const T* table, std::uint32_t offset) {
  return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(table) + offset);
}

/// The limits between the 16 levels of a format.
template <class Format>
struct LevelLimits {
  static constexpr std::uint32_t kLimits = 15;

  /// Limit `c`: the last number whose nearest level is `c` or one below.
  [[nodiscard]] static constexpr float limit(std::uint32_t c) {
    constexpr float limits[kLimits] = {between(0), between(1), between(2),  between(3),  between(4),  between(5),  between(6), between(7),
                                       between(8), between(9), between(10), between(11), between(12), between(13), between(14)};
    return limits[c];
  }

 private:
  [[nodiscard]] static constexpr float between(std::uint32_t c) {
    return codec::last_nearer_to_low(Format::level(c), Format::level(c + 1));
  }
};

}  // namespace halftone::formats
