// Part of kernels.inc.hpp; no include guard.
//
// Codes to values, and values to other types.

template <class Format>
HALFTONE_HD void decode_run(const std::uint8_t* __restrict codes, std::size_t n, float operand, float* __restrict values) {
  if constexpr (formats::kPackingOf<Format> == formats::Packing::bytes) {
    for (std::size_t i = 0; i < n; ++i) values[i] = Format::decode(codes[i], operand);
  } else {
    constexpr int first_shift = formats::kPackingOf<Format> == formats::Packing::high_nibble_first ? 4 : 0;
    for (std::size_t i = 0; i < n; ++i) {
      const int shift = i % 2 == 0 ? first_shift : 4 - first_shift;
      values[i] = Format::decode(static_cast<std::uint8_t>((codes[i / 2] >> shift) & 15), operand);
    }
  }
}

template <class Format>
void decode(const std::byte* codes, std::size_t n, std::size_t group, const float* operands, float* values) {
  const auto* in = reinterpret_cast<const std::uint8_t*>(codes);
  for (std::size_t first = 0, g = 0; first < n; first += group, ++g) {
    decode_run<Format>(in + code_bytes<Format>(first), smaller(group, n - first), operands[g], values + first);
  }
}

void rotate(float* values, std::size_t n, std::size_t group) { formats::rotate_groups(values, n, static_cast<std::uint32_t>(group)); }

template <class Source>
void to_float(const std::byte* __restrict source, std::size_t n, float* __restrict values) {
  for (std::size_t i = 0; i < n; ++i) values[i] = Source::decode(load<typename Source::Raw>(source, i));
}

template <class Half>
void to_half(const float* __restrict values, std::size_t n, std::byte* __restrict out) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint16_t code = Half::encode(values[i]);
    __builtin_memcpy(out + 2 * i, &code, 2);
  }
}
