#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include <halftone/dtype.hpp>

namespace halftone::cuda {

/// y = sum · (x scale · w scale) + bias, rows × columns, in BF16 or F32; all on the device.
struct IntegerSums {
  const std::int32_t* sums;
  std::uint64_t rows;
  std::uint64_t columns;
  const float* x_scales;  ///< one for each row
  const float* w_scales;
  bool w_per_column;  ///< whether there is one of them for each column
  const float* bias;  ///< columns, or null
};
void launch_scaled_sums(const IntegerSums& sums, Dtype y_type, void* y, cudaStream_t stream);

/// Adds a bias to y, rows × columns, in F32.
void launch_add_bias(float* y, std::uint64_t rows, std::uint64_t columns, const float* bias, cudaStream_t stream);

}  // namespace halftone::cuda
