#pragma once

#include <cuda.h>

#include <cstdint>

namespace halftone::cuda::matmul {

/// A matrix in device memory, row by row, and the boxes in which kernels copy it.
struct BoxedMatrix {
  const void* data;  ///< aligned to 16 bytes
  CUtensorMapDataType type;
  CUtensorMapSwizzle swizzle;
  std::uint64_t rows;
  std::uint64_t columns;
  std::uint64_t row_bytes;  ///< from a row to the next, a multiple of 16
  std::uint32_t box_rows;
  std::uint32_t box_columns;
};

/// The descriptor of `matrix` for the tensor memory accelerator.  Throws device.
[[nodiscard]] CUtensorMap make_tensor_map(const BoxedMatrix& matrix);

}  // namespace halftone::cuda::matmul
