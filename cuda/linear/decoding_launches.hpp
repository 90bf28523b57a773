#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include <halftone/format.hpp>

namespace halftone::cuda {

/// The most rows of inputs that the decoding product takes: two tiles of the tensor cores.
constexpr std::uint64_t kDecodingRows = 16;

/// y = x wᵀ + bias for few rows of x, where the codes of w are decoded on their way into the tensor cores.  Weights are rounded
/// to BF16 there, where one scale of a row does not leave it to their sums; all pointers are to device memory.
struct DecodingArgs {
  const std::uint8_t* codes;
  std::uint64_t code_pitch;  ///< bytes of a row of codes
  const std::byte* scales;   ///< of the groups, row by row
  const float* tensor_scale;
  const float* row_scales;      ///< of formats whose rows have scales above those of their groups, or null
  std::uint32_t group_rows;     ///< rows of a group
  std::uint32_t group_shift;    ///< log2 of the columns of a group; 31 where a row has one scale or none of its own
  std::uint32_t groups_across;  ///< groups side by side; 0 where one scale serves all rows
  const std::uint16_t* x;       ///< BF16, m × k, aligned to 16 bytes
  std::uint64_t m, n, k;
  const float* bias;       ///< n elements, or null
  void* y;                 ///< m × n
  bool y_is_f32;           ///< else BF16
  const float* sum_scale;  ///< what all sums are multiplied with, or null; that of a weight with one scale is here
};

/// Whether a weight of rows of `k` codes can be multiplied so: groups of whole chunks of 16 codes whose width is a power of two,
/// or whole rows, and rows of codes that begin at vectors.
[[nodiscard]] bool decoding_fits(const FormatDescriptor& format, std::uint64_t k, std::uint64_t group_width, std::uint64_t code_pitch);

using DecodingLaunch = void (*)(const DecodingArgs&, cudaStream_t);
[[nodiscard]] DecodingLaunch decoding_launch(const FormatDescriptor& format);

}  // namespace halftone::cuda
