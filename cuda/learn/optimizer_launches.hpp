#pragma once

#include <cuda_runtime.h>

#include "learn/optimizer_run.hpp"

namespace halftone::cuda {

// The steps of learn::Engine's loops over codes, put into a stream.  The loop's state stays on the device.

/// `measured`: without gaps.
void launch_advance(const learn::OptimizerRun& run, const learn::Matrix& measured, cudaStream_t stream);
void launch_optimizer_step(const learn::OptimizerRun& run, cudaStream_t stream);
void launch_errors_at(const learn::Matrix& first, const float* offsets, const learn::Grid& grid, const learn::Matrix& errors,
                      cudaStream_t stream);

/// Engine::code_sums().
void launch_code_sums(const std::uint8_t* levels, const float* offsets, const learn::Matrix& a, const learn::Grid& grid,
                      std::uint64_t width, float* dots, float* squares, cudaStream_t stream);

}  // namespace halftone::cuda
