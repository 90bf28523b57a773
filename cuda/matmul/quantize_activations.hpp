#pragma once

#include "matmul/operands.hpp"

namespace halftone::cuda {

/// Activations in BF16 and what becomes of them, on the device.  Rows of codes are `pitch` bytes apart; pitch is a multiple of
/// kCodeAlignment of at least `columns`, and the bytes from `columns` on become 0.
struct Activations {
  const std::uint16_t* x;
  std::uint64_t rows;
  std::uint64_t columns;
  std::uint8_t* codes;
  std::uint64_t pitch;
};

/// INT8 with a scale for each run of 128 elements of a row, as the format int8-block has for a block.  The scale of a run lies
/// at scales[run * rows + row]: RunScales{scales, 1, rows}.  A run with a NaN gets the scale NaN.
void launch_quantize_runs_int8(const Activations& activations, float* scales, cudaStream_t stream);

/// The same in FP8 E4M3, as the format fp8-block has.
void launch_quantize_runs_fp8(const Activations& activations, float* scales, cudaStream_t stream);

}  // namespace halftone::cuda
