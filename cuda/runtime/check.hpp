#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace halftone::cuda {

/// Throws an Error of kind device naming `what` was being done, unless `status` is success.
void check(cudaError_t status, const char* what);

/// The same for an allocation of `n_bytes` of `what`, which the message tells.
void check_allocation(cudaError_t status, std::size_t n_bytes, const char* what);

/// Throws what the launch just before left, naming `what`.
inline void check_launch(const char* what) { check(cudaGetLastError(), what); }

}  // namespace halftone::cuda
