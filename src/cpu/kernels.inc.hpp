// Included once by each kernels_<instruction set>.cpp, which defines HALFTONE_KERNELS (the table's
// name) and HALFTONE_INSTRUCTION_SET.  No include guard.
//
// Everything called here is forced inline or in the anonymous namespace: an inline function of
// the standard library compiled here could become the copy that the linker keeps for machines
// without this instruction set.  That is why the code below uses none.

#if defined(__AVX2__)
#include <immintrin.h>

#include <type_traits>
#endif

#include <halftone/codec/half.hpp>

#include "cpu/kernel_table.hpp"
#include "formats/all_formats.hpp"
#include "formats/format_traits.hpp"
#include "formats/rotation.hpp"

namespace halftone::cpu {
namespace {

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
/// Squared errors that are added before the sum goes on in binary64: part of what decides bytes (KernelTable::squared_error).
constexpr std::size_t kSumElements = 512;

/// Magnitudes of a source in words that order like them: its own bits where it has 16, else those of binary32.
template <class Source, bool Half = sizeof(typename Source::Raw) == 2>
struct Magnitudes {
  using Word = std::uint32_t;
  static HALFTONE_HD Word load_one(const std::byte* from, std::size_t i) {
    return codec::bits(Source::decode(load<typename Source::Raw>(from, i))) & codec::kMagnitudeMask;
  }
  static HALFTONE_HD std::uint32_t bits(Word word) { return word; }
};
template <class Source>
struct Magnitudes<Source, true> {
  using Word = std::uint16_t;
  static HALFTONE_HD Word load_one(const std::byte* from, std::size_t i) {
    return static_cast<Word>(load<std::uint16_t>(from, i) & 0x7FFFU);
  }
  static HALFTONE_HD std::uint32_t bits(Word word) { return codec::bits(Source::decode(word)); }
};

template <class Source>
HALFTONE_HD void raise_to_max(const std::byte* run, std::size_t n, std::uint32_t& largest) {
  using Of = Magnitudes<Source>;
  typename Of::Word word = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const auto one = Of::load_one(run, i);
    word = one > word ? one : word;
  }
  const std::uint32_t found = Of::bits(word);
  largest = found > largest ? found : largest;
}

/// Groups of a size that is known to the compiler, which then needs no loop over a group.
template <class Source, std::size_t Group>
HALFTONE_HD std::size_t max_of_whole_groups(const std::byte* source, std::size_t n, std::uint32_t* largest) {
  const std::size_t whole = n / Group;
  for (std::size_t g = 0; g < whole; ++g) raise_to_max<Source>(source + g * Group * sizeof(typename Source::Raw), Group, largest[g]);
  return whole;
}

template <class Source>
HALFTONE_HD void max_of_row(const std::byte* source, std::size_t n, std::size_t group, std::uint32_t* largest) {
  std::size_t done = 0;
  if (group == 16) done = max_of_whole_groups<Source, 16>(source, n, largest);
  if (group == 32) done = max_of_whole_groups<Source, 32>(source, n, largest);
  if (group == 64) done = max_of_whole_groups<Source, 64>(source, n, largest);
  if (group == 128) done = max_of_whole_groups<Source, 128>(source, n, largest);
  for (std::size_t first = done * group, g = done; first < n; first += group, ++g) {
    raise_to_max<Source>(source + first * sizeof(typename Source::Raw), smaller(group, n - first), largest[g]);
  }
}

/// Several rows: the largest of each column first, so that only one row of them is cut into groups.
template <class Source>
HALFTONE_HD void max_of_columns(const std::byte* source, std::size_t stride, std::size_t rows, std::size_t n, std::size_t group,
                                std::uint32_t* largest) {
  using Of = Magnitudes<Source>;
  alignas(64) typename Of::Word words[kPackElements];
  for (std::size_t done = 0; done < n; done += kPackElements) {
    const std::size_t count = smaller(kPackElements, n - done);
    for (std::size_t i = 0; i < count; ++i) words[i] = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const std::byte* __restrict from = source + r * stride + done * sizeof(typename Source::Raw);
      for (std::size_t i = 0; i < count; ++i) {
        const auto one = Of::load_one(from, i);
        words[i] = one > words[i] ? one : words[i];
      }
    }
    for (std::size_t i = 0; i < count;) {
      const std::size_t g = (done + i) / group;
      for (const std::size_t end = smaller(count, (g + 1) * group - done); i < end; ++i) {
        const std::uint32_t found = Of::bits(words[i]);
        largest[g] = found > largest[g] ? found : largest[g];
      }
    }
  }
}

template <class Source>
void max_magnitude(const std::byte* source, std::size_t stride, std::size_t rows, std::size_t n, std::size_t group,
                   std::uint32_t* largest) {
  if (rows == 1) return max_of_row<Source>(source, n, group, largest);
  max_of_columns<Source>(source, stride, rows, n, group, largest);
}

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

HALFTONE_HD void prefetch(const std::byte* from, std::size_t n_bytes) {
  for (std::size_t i = 0; i < n_bytes; i += 64) __builtin_prefetch(from + i);
}

#if defined(__AVX2__)
#include "cpu/encode_bf16_avx2.inc.hpp"
template <class Format, class Source>
constexpr bool kHasVectors = std::is_same_v<Source, Bf16Source> && !std::is_void_v<typename VectorOf<Format>::type>;
#else
template <class Format, class Source>
constexpr bool kHasVectors = false;
#endif

/// Encodes the beginning of a run where there is something faster than Format::encode(); returns how many elements.
template <class Format, class Source>
HALFTONE_HD std::size_t encode_beginning([[maybe_unused]] const std::byte* __restrict source, [[maybe_unused]] std::size_t n,
                                         [[maybe_unused]] float operand, [[maybe_unused]] std::uint8_t* __restrict codes,
                                         [[maybe_unused]] std::size_t ahead) {
#if defined(__AVX2__)
  if constexpr (kHasVectors<Format, Source>) return encode_vectors<Format>(source, n, operand, codes, ahead);
#endif
  return 0;
}

/// Elements that have one scale.
template <class Format, class Source>
HALFTONE_HD void encode_run(const std::byte* __restrict source, std::size_t n, float operand, std::uint8_t* __restrict codes,
                            std::size_t ahead) {
  using Raw = typename Source::Raw;
  alignas(64) std::uint32_t words[kPackElements];
  for (std::size_t done = encode_beginning<Format, Source>(source, n, operand, codes, ahead); done < n; done += kPackElements) {
    const std::size_t count = smaller(kPackElements, n - done);
    const std::byte* __restrict from = source + done * sizeof(Raw);
    prefetch(from + ahead, count * sizeof(Raw));
    for (std::size_t i = 0; i < count; ++i) words[i] = Format::encode(Source::decode(load<Raw>(from, i)), operand);
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
    if constexpr (!kHasVectors<Format, Source> &&
                  (Format::kGrid == ScaleGrid::block || formats::kPackingOf<Format> != formats::Packing::bytes)) {
      if (group == 64) return encode_runs<Format, Source, 64>(source, n, operands, out, ahead);
      if (group == 128) return encode_runs<Format, Source, 128>(source, n, operands, out, ahead);
    }
    for (std::size_t first = 0, g = 0; first < n; first += group, ++g) {
      encode_run<Format, Source>(source + first * sizeof(typename Source::Raw), smaller(group, n - first), operands[g],
                                 out + code_bytes<Format>(first), ahead);
    }
  }
}

constexpr std::size_t kLanes = 16;

/// The operand of each of `n` elements.
template <std::size_t Run>
HALFTONE_HD void spread(const float* of_groups, std::size_t n, float* __restrict of_elements) {
  for (std::size_t g = 0; g * Run < n; ++g) {
    const float operand = of_groups[g];
    const std::size_t end = smaller((g + 1) * Run, n);
    for (std::size_t i = g * Run; i < end; ++i) of_elements[i] = operand;
  }
}

/// The squared errors of elements in runs of `Run` with a scale each; the last may be shorter.  One step
/// at a time: the compiler vectorises short loops over words of one size.
template <class Format, class Source, std::size_t Run>
HALFTONE_HD void squared_errors(const std::byte* __restrict source, std::size_t n, const float* encodes, const float* decodes,
                                float* __restrict errors) {
  alignas(64) float weights[kSumElements];
  alignas(64) float operands[kSumElements];
  alignas(64) std::uint32_t words[kSumElements];
  for (std::size_t i = 0; i < n; ++i) weights[i] = Source::decode(load<typename Source::Raw>(source, i));
  spread<Run>(encodes, n, operands);
  for (std::size_t i = 0; i < n; ++i) words[i] = Format::encode(weights[i], operands[i]);
  spread<Run>(decodes, n, operands);
  for (std::size_t i = 0; i < n; ++i) errors[i] = Format::decode(static_cast<std::uint8_t>(words[i]), operands[i]);
  for (std::size_t i = 0; i < n; ++i) errors[i] = (errors[i] - weights[i]) * (errors[i] - weights[i]);
}

/// The sum of up to kSumElements numbers behind which there is room for kLanes more.
HALFTONE_HD float sum_of_chunk(float* numbers, std::size_t n) {
  for (std::size_t i = n; i % kLanes != 0; ++i) numbers[i] = 0.0F;
  alignas(64) float lanes[kLanes] = {};
  for (std::size_t i = 0; i < n; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += numbers[i + l];
  }
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// Runs that divide kSumElements, several to a chunk.
template <class Format, class Source, std::size_t Run>
HALFTONE_HD void squared_error_of_runs(const std::byte* source, std::size_t n, const float* encodes, const float* decodes, double* sums) {
  alignas(64) float errors[kSumElements + kLanes];
  for (std::size_t done = 0; done < n; done += kSumElements) {
    const std::size_t count = smaller(kSumElements, n - done);
    const std::size_t first = done / Run;
    squared_errors<Format, Source, Run>(source + done * sizeof(typename Source::Raw), count, encodes + first, decodes + first, errors);
    for (std::size_t i = 0; i < count; i += Run) sums[first + i / Run] += sum_of_chunk(errors + i, smaller(Run, count - i));
  }
}

template <class Format, class Source>
void squared_error(const std::byte* source, std::size_t n, std::size_t group, const float* encodes, const float* decodes, double* sums) {
  if constexpr (formats::kRunOf<Format> != 0) {
    squared_error_of_runs<Format, Source, Format::kRun>(source, n, encodes, decodes, sums);
  } else {
    if (group == 64) return squared_error_of_runs<Format, Source, 64>(source, n, encodes, decodes, sums);
    if (group == 128) return squared_error_of_runs<Format, Source, 128>(source, n, encodes, decodes, sums);
    alignas(64) float errors[kSumElements + kLanes];
    for (std::size_t first = 0, g = 0; first < n; first += group, ++g) {
      const std::size_t end = smaller(first + group, n);
      for (std::size_t i = first; i < end; i += kSumElements) {
        const std::size_t count = smaller(kSumElements, end - i);
        squared_errors<Format, Source, kSumElements>(source + i * sizeof(typename Source::Raw), count, encodes + g, decodes + g, errors);
        sums[g] += sum_of_chunk(errors, count);
      }
    }
  }
}

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

}  // namespace

const KernelTable HALFTONE_KERNELS = {
    HALFTONE_INSTRUCTION_SET,
    {max_magnitude<F64Source>, max_magnitude<F32Source>, max_magnitude<Bf16Source>, max_magnitude<F16Source>},
    {
#define HALFTONE_FORMAT(folder)                                                                                                         \
  {encode<formats::folder::Format, F64Source>, encode<formats::folder::Format, F32Source>, encode<formats::folder::Format, Bf16Source>, \
   encode<formats::folder::Format, F16Source>},
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    {
#define HALFTONE_FORMAT(folder)                                                                          \
  {squared_error<formats::folder::Format, F64Source>, squared_error<formats::folder::Format, F32Source>, \
   squared_error<formats::folder::Format, Bf16Source>, squared_error<formats::folder::Format, F16Source>},
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    {
#define HALFTONE_FORMAT(folder) decode<formats::folder::Format>,
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    rotate,
    {to_float<F64Source>, to_float<F32Source>, to_float<Bf16Source>, to_float<F16Source>},
    to_half<codec::Bf16>,
    to_half<codec::F16>,
};

}  // namespace halftone::cpu
