#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace halftone::cuda {

/// The INT8 values that codes of four bits stand for, two codes to a byte, the first in the low half; `n` is a multiple of 8, and
/// codes and results are aligned to 8 bytes.
struct PackedCodes {
  const std::uint8_t* codes;
  std::uint64_t n;
  const std::uint8_t* scales;  ///< E4M3, one for each `group_size` codes, of w4a8; null for codes that are numbers
  std::uint32_t group_size;
};
void launch_expanded(const PackedCodes& packed, std::int8_t* out, cudaStream_t stream);

}  // namespace halftone::cuda
