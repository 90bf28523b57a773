#pragma once

#include <cuda_runtime.h>

#include "learn/optimizer_run.hpp"

namespace halftone::cuda {

// The steps of learn::Engine's loops over codes, put into a stream.  The loop's state stays on the device.

/// `squared_loss`: on the device.
void launch_advance(const learn::OptimizerRun& run, const double* squared_loss, cudaStream_t stream);
void launch_optimizer_step(const learn::OptimizerRun& run, cudaStream_t stream);
void launch_errors_at(const std::uint8_t* levels, const float* offsets, const learn::Matrix& weight, const learn::Grid& grid,
                      const learn::Matrix& errors, cudaStream_t stream);

}  // namespace halftone::cuda
