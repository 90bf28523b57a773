#pragma once

#include <cuda_runtime.h>

#include "learn/engine.hpp"

namespace halftone::cuda {

// Factors of matrices that one block holds in its shared memory, put into a stream: launches and waits are what libraries
// spend their time on there.  As learn::Engine's functions of these names.

/// Rows, at most.
inline constexpr unsigned kSmallRows = 64;

/// failed: becomes 0, or 1 where there is no factor.
void launch_small_cholesky(const learn::Matrix& a, std::uint32_t* failed, cudaStream_t stream);
/// All that learn::MatrixEngine::invert_ridged_factor() says.
void launch_small_ridged_inverse(const learn::Matrix& a, float first_ridge, cudaStream_t stream);
void launch_small_inverse(const learn::Matrix& a, cudaStream_t stream);
void launch_small_eigenvectors(const learn::Matrix& a, cudaStream_t stream);

}  // namespace halftone::cuda
