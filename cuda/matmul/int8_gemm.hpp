#pragma once

#include "matmul/operands.hpp"

namespace halftone::cuda {

/// y = BF16(fl(float(sum of x w) * fl(x_scale * w_scale)) + bias), with an exact INT32 sum; everything is on the device.
struct Int8Gemm {
  MatmulShape shape;
  const std::int8_t* x;
  const std::int8_t* w;
  RowScales x_scales;
  RowScales w_scales;
  const float* bias;  ///< n elements, or null
  std::uint16_t* y;   ///< BF16
};

/// The longest row whose sum cannot overflow.
inline constexpr std::uint64_t kInt8GemmLongestRow = 131056;

/// Puts the product into `stream`.  k is a multiple of kCodeAlignment and at most kInt8GemmLongestRow, x and w are aligned to
/// kCodeAlignment bytes; throws unsupported where that is not so, or where the current device has not compute capability 9.0.
/// An empty y is no work.
void launch_int8_gemm(const Int8Gemm& product, cudaStream_t stream);

}  // namespace halftone::cuda
