#pragma once

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "learn/engine.hpp"
#include "learn/optimizer_run.hpp"

namespace halftone::cuda {

// Matrices of binary32 as matrices of binary16 without gaps, put into a stream.

/// out(i, j) = factor · in(i, j), or where `transposed` factor · in(j, i); zeros where `in` has no such element.
void launch_to_half(const learn::Matrix& in, float factor, bool transposed, std::uint64_t rows, std::uint64_t columns, __half* out,
                    cudaStream_t stream);
/// out = factor / loss · in, of n elements; `state` is on the device.
void launch_normalise(const float* in, const learn::LoopState* state, float factor, std::uint64_t n, __half* out, cudaStream_t stream);

}  // namespace halftone::cuda
