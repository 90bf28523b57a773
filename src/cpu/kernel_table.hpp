#pragma once

#include <cstddef>
#include <cstdint>

namespace halftone::cpu {

/// Position of each source type in the tables below.
enum SourceIndex : std::size_t { kF64, kF32, kBf16, kF16, kSourceCount };

/// Number of formats in formats.def.
enum FormatCount : std::size_t {
  kFormatCount = 0
#define HALFTONE_FORMAT(folder) +1
#include "formats/formats.def"
#undef HALFTONE_FORMAT
};

/// The loops over contiguous elements, compiled once per instruction set from kernels.inc.hpp.
/// Sources may have any byte alignment.  All sets give equal bytes.
struct KernelTable {
  const char* instruction_set;
  /// Bits of the largest |x| of `n` elements after conversion to binary32.
  std::uint32_t (*max_magnitude[kSourceCount])(const std::byte* source, std::size_t n);
  /// Codes of `n` elements that share the scale operand `scale`.
  void (*encode[kFormatCount][kSourceCount])(const std::byte* source, std::size_t n, float scale, std::byte* codes);
  /// Values of `n` codes that share the stored scale `scale`.
  void (*decode[kFormatCount])(const std::byte* codes, std::size_t n, float scale, float* values);
  void (*to_float[kSourceCount])(const std::byte* source, std::size_t n, float* values);
  void (*to_bf16)(const float* values, std::size_t n, std::byte* out);
  void (*to_f16)(const float* values, std::size_t n, std::byte* out);
};

extern const KernelTable kBaselineKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

}  // namespace halftone::cpu
