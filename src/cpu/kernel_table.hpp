#pragma once

#include <cstddef>
#include <cstdint>

#include "formats/float_index.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::cpu {

/// Number of formats in formats.def.
enum FormatCount : std::size_t {
  kFormatCount = 0
#define HALFTONE_FORMAT(folder) +1
#include "formats/formats.def"
#undef HALFTONE_FORMAT
};

/// The loops over contiguous elements, compiled once per instruction set from kernels.inc.hpp.
/// Sources may have any byte alignment.  All sets give equal bytes.  `group` consecutive elements
/// share a scale; the last group may be shorter.
struct KernelTable {
  using Fit = float (*)(const float* row, std::size_t n, std::size_t group, float* scales);
  using Search = void (*)(const std::byte* source, std::size_t n, const std::uint32_t* largest, float tensor, formats::AnyScale* scales);

  const char* instruction_set;
  /// Raises largest[g] to the bits of the largest |x| of group g after conversion to binary32; groups go
  /// through `rows` rows of `n` elements, which begin `stride` bytes apart.
  void (*max_magnitude[formats::kFloatCount])(const std::byte* source, std::size_t stride, std::size_t rows, std::size_t n,
                                              std::size_t group, std::uint32_t* largest);
  /// Codes of `n` elements, packed as the format has it; operands[g] is what its encode() takes for
  /// group g.  Groups of formats that share bytes between codes have an even number of elements.
  /// Meanwhile what lies `ahead` bytes behind each element is brought into the caches.
  void (*encode[kFormatCount][formats::kFloatCount])(const std::byte* source, std::size_t n, std::size_t group, const float* operands,
                                                     std::byte* codes, std::size_t ahead);
  /// Adds, for each group g, the sum of (value - weight)² over its elements to sums[g], where encodes[g] and
  /// decodes[g] are what encode() and decode() take.  Sums run in one order, whatever the instruction set:
  /// in binary32 over 16 lanes, element i in lane i mod 16, for 512 elements at a time; then over the lanes by
  /// halves; then in binary64.
  void (*squared_error[kFormatCount][formats::kFloatCount])(const std::byte* source, std::size_t n, std::size_t group, const float* encodes,
                                                            const float* decodes, double* sums);
  /// Of the candidates for the scale of each run of `n` elements, that of least squared error, the first of equal ones;
  /// the sums are those of squared_error.  `largest`: the bits of the runs' largest magnitudes; `tensor`: the scale of the
  /// whole weight.  Null for formats without runs or without candidates.
  Search search[kFormatCount][formats::kFloatCount];
  /// The fitted scale of each group of a row, and the largest magnitude that they give; null for formats that fit none.
  Fit fit[kFormatCount];
  /// Values of `n` codes; operands[g] is what the format's decode() takes for group g.
  void (*decode[kFormatCount])(const std::byte* codes, std::size_t n, std::size_t group, const float* operands, float* values);
  /// Rotates groups of `group` of `n` values in place; formats/rotation.hpp.
  void (*rotate)(float* values, std::size_t n, std::size_t group);
  void (*to_float[formats::kFloatCount])(const std::byte* source, std::size_t n, float* values);
  void (*to_bf16)(const float* values, std::size_t n, std::byte* out);
  void (*to_f16)(const float* values, std::size_t n, std::byte* out);
};

extern const KernelTable kBaselineKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

}  // namespace halftone::cpu
