#pragma once

#include "matmul/operands.hpp"

namespace halftone::cuda {

/// y = BF16(fl(sum of x w * fl(x_scale * w_scale)) + bias); everything is on the device.
struct RowGemm {
  MatmulShape shape;
  const std::uint8_t* x;  ///< codes
  const std::uint8_t* w;  ///< codes
  RowScales x_scales;
  RowScales w_scales;
  const float* bias;  ///< n elements, or null
  std::uint16_t* y;   ///< BF16
};

/// The longest row of INT8 whose sum cannot overflow.
inline constexpr std::uint64_t kInt8GemmLongestRow = 131056;

/// Puts the product of INT8 codes, with an exact INT32 sum, into `stream`.  k is a multiple of kCodeAlignment and at most
/// kInt8GemmLongestRow, x and w are aligned to kCodeAlignment bytes; throws unsupported where that is not so, or where the current
/// device has not compute capability 9.0.  An empty y is no work.
void launch_int8_gemm(const RowGemm& product, cudaStream_t stream);

/// The codes of w; those of x are E4M3.
enum class Fp8Weight : std::uint8_t { e4m3, e5m2 };

/// The same of FP8 codes, without a limit of k.  The sum is that of the tensor cores, which keep fewer bits than binary32; of few
/// rows, parts of k are summed up apart and added in their order.  Shape and device decide which.
void launch_fp8_gemm(const RowGemm& product, Fp8Weight weight, cudaStream_t stream);

}  // namespace halftone::cuda
