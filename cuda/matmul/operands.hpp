#pragma once

#include <cstdint>

/// The stream of the CUDA runtime, for callers that do not include its headers.
using cudaStream_t = struct CUstream_st*;

namespace halftone::cuda {

/// Sizes of y = x Wᵀ: x has m rows of k elements, W has n rows of k, y has m rows of n.
struct MatmulShape {
  std::uint64_t m;
  std::uint64_t n;
  std::uint64_t k;
};

/// Factors of rows, on the device: one for all of them, or one for each.
struct RowScales {
  const float* values;
  bool per_row;
};

/// Factors of runs of 128 elements of each row, on the device; that of a run is
/// values[row * row_stride + run * run_stride].  Rows side by side (row_stride 1) are read fastest.
struct RunScales {
  const float* values;
  std::uint64_t row_stride;
  std::uint64_t run_stride;
};

/// Elements of a row that share a scale in the products with scales of blocks, and rows of W that do.
inline constexpr std::uint64_t kScaleBlock = 128;

/// What k and the address of a matrix of codes must be a multiple of.
inline constexpr std::uint64_t kCodeAlignment = 16;

}  // namespace halftone::cuda
