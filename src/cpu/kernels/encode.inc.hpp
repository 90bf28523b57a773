// Part of kernels.inc.hpp; no include guard.
//
// Weights to codes.

HALFTONE_HD void prefetch(const std::byte* from, std::size_t n_bytes) {
  for (std::size_t i = 0; i < n_bytes; i += 64) __builtin_prefetch(from + i);
}

/// Encodes the beginning of a run where an instruction set has something faster than Format::encode().
template <class Format, class Source>
struct Beginning {
  static constexpr bool kFast = false;
  /// Returns how many elements.
  static HALFTONE_HD std::size_t encode(const std::byte*, std::size_t, float, std::uint8_t*, std::size_t) { return 0; }
};

#if defined(__AVX2__)
#include "cpu/kernels/encode_bf16_avx2.inc.hpp"
#endif

/// The codes of up to kPackElements elements that have one scale, a word each.
template <class Format, class Source>
HALFTONE_HD void encode_words(const std::byte* __restrict from, std::size_t n, float operand, std::uint32_t* __restrict words) {
  using Raw = typename Source::Raw;
  if constexpr (formats::RowScaled<Format>) {
    alignas(64) float weights[kPackElements];
    for (std::size_t i = 0; i < n; ++i) weights[i] = Source::decode(load<Raw>(from, i));
    encode_lanes<Format>(weights, n, operand, words);
  } else {
    for (std::size_t i = 0; i < n; ++i) words[i] = Format::encode(Source::decode(load<Raw>(from, i)), operand);
  }
}

/// Elements that have one scale.
template <class Format, class Source>
HALFTONE_HD void encode_run(const std::byte* __restrict source, std::size_t n, float operand, std::uint8_t* __restrict codes,
                            std::size_t ahead) {
  using Raw = typename Source::Raw;
  alignas(64) std::uint32_t words[kPackElements];
  for (std::size_t done = Beginning<Format, Source>::encode(source, n, operand, codes, ahead); done < n; done += kPackElements) {
    const std::size_t count = smaller(kPackElements, n - done);
    const std::byte* __restrict from = source + done * sizeof(Raw);
    prefetch(from + ahead, count * sizeof(Raw));
    encode_words<Format, Source>(from, count, operand, words);
    pack<formats::kPackingOf<Format>>(words, count, codes + code_bytes<Format>(done));
  }
}

/// Elements in runs of `Run`, each with a scale of its own; the last may be shorter.  The compiler knows
/// the size, and needs no loop for the beginning and end of a run.
template <class Format, class Source, std::size_t Run>
HALFTONE_HD void encode_runs(const std::byte* __restrict source, std::size_t n, const float* operands, std::uint8_t* __restrict codes,
                             std::size_t ahead) {
  using Raw = typename Source::Raw;
  alignas(64) std::uint32_t words[kPackElements];
  for (std::size_t done = 0; done < n; done += kPackElements) {
    const std::size_t count = smaller(kPackElements, n - done);
    const std::byte* __restrict from = source + done * sizeof(Raw);
    const float* of = operands + done / Run;
    prefetch(from + ahead, count * sizeof(Raw));
    for (std::size_t g = 0; g < count / Run; ++g) {
      for (std::size_t i = g * Run; i < (g + 1) * Run; ++i) words[i] = Format::encode(Source::decode(load<Raw>(from, i)), of[g]);
    }
    for (std::size_t i = count / Run * Run; i < count; ++i) words[i] = Format::encode(Source::decode(load<Raw>(from, i)), of[i / Run]);
    pack<formats::kPackingOf<Format>>(words, count, codes + code_bytes<Format>(done));
  }
}

template <class Format, class Source>
void encode(const std::byte* source, std::size_t n, std::size_t group, const float* operands, std::byte* codes, std::size_t ahead) {
  auto* out = reinterpret_cast<std::uint8_t*>(codes);
  if constexpr (formats::kRunOf<Format> != 0) {
    encode_runs<Format, Source, Format::kRun>(source, n, operands, out, ahead);
  } else {
    if constexpr (!Beginning<Format, Source>::kFast &&
                  (Format::kGrid == ScaleGrid::block || formats::kPackingOf<Format> != formats::Packing::bytes) &&
                  !formats::RowScaled<Format>) {
      if (group == 64) return encode_runs<Format, Source, 64>(source, n, operands, out, ahead);
      if (group == 128) return encode_runs<Format, Source, 128>(source, n, operands, out, ahead);
    }
    for (std::size_t first = 0, g = 0; first < n; first += group, ++g) {
      encode_run<Format, Source>(source + first * sizeof(typename Source::Raw), smaller(group, n - first), operands[g],
                                 out + code_bytes<Format>(first), ahead);
    }
  }
}
