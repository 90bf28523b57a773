#pragma once

#include "matmul/operands.hpp"

namespace halftone::cuda {

/// y = BF16(sum over runs of 128 elements of (sum of x w in the run) * fl(x_scale * w_scale) + bias); the outer sum is one of
/// fused binary32 operations from the first run to the last.  Everything is on the device.
struct BlockGemm {
  MatmulShape shape;
  const std::uint8_t* x;  ///< codes
  const std::uint8_t* w;  ///< codes
  RunScales x_scales;     ///< one for each run of 128 elements of a row; the last run may be shorter
  const float* w_scales;  ///< ceil(n / 128) rows of ceil(k / 128): one for each square block
  const float* bias;      ///< n elements, or null
  std::uint16_t* y;       ///< BF16
};

/// Codes are INT8; the sum of a run is exact.  Otherwise as launch_int8_gemm, without a limit of k.
void launch_int8_block_gemm(const BlockGemm& product, cudaStream_t stream);

/// Codes are FP8 E4M3; the sum of a run is that of the tensor cores, which keep fewer bits than binary32.
void launch_fp8_block_gemm(const BlockGemm& product, cudaStream_t stream);

}  // namespace halftone::cuda
