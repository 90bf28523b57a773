#pragma once

#include <cuda_runtime.h>

namespace halftone::cuda {

/// Throws an Error of kind device naming `what` was being done, unless `status` is success.
void check(cudaError_t status, const char* what);

/// Throws what the launch just before left, naming `what`.
inline void check_launch(const char* what) { check(cudaGetLastError(), what); }

}  // namespace halftone::cuda
