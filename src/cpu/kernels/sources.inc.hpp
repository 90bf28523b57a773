// Part of kernels.inc.hpp; no include guard.
//
// The types that weights are read from.

/// A load at any alignment.
template <class T>
HALFTONE_HD T load(const std::byte* data, std::size_t i) {
  T value;
  __builtin_memcpy(&value, data + i * sizeof(T), sizeof(T));
  return value;
}

struct F64Source {
  using Raw = double;
  static HALFTONE_HD float decode(double raw) { return static_cast<float>(raw); }
};
struct F32Source {
  using Raw = float;
  static HALFTONE_HD float decode(float raw) { return raw; }
};
struct Bf16Source {
  using Raw = std::uint16_t;
  static HALFTONE_HD float decode(std::uint16_t raw) { return codec::Bf16::decode(raw); }
};
struct F16Source {
  using Raw = std::uint16_t;
  static HALFTONE_HD float decode(std::uint16_t raw) { return codec::F16::decode(raw); }
};

HALFTONE_HD std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

/// Elements that go through several steps at once: small enough for the L1 cache.
constexpr std::size_t kPackElements = 512;
