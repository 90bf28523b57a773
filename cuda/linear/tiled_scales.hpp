#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "linear/activation_launches.hpp"

namespace halftone::cuda {

/// Scales of a byte each, `columns` to a row, in the tiles of formats/swizzle.hpp; what fills up the last tiles is 0.
void launch_tiled(const std::uint8_t* scales, std::uint64_t rows, std::uint64_t columns, std::uint8_t* tiles, cudaStream_t stream);

/// For inputs of NVFP4: *amax becomes the bits of the largest magnitude that `whole` stands for (`whole.measured` may be amax),
/// factor[0] the product of the scale made from it and *weight_scale, factor[1] 0.
void launch_tensor_factor(const WholeScale& whole, const float* weight_scale, std::uint32_t* amax, float* factor, cudaStream_t stream);

}  // namespace halftone::cuda
