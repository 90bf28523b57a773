#pragma once

// Kernels that begin before the one ahead of them in the stream has ended (programmatic dependent launch; from
// compute capability 9.0 on).

#include <utility>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// Until the kernel before, if it is still running, has ended and what it wrote can be read.
__device__ inline void wait_for_kernel_before() {
#if __CUDA_ARCH__ >= 900
  cudaGridDependencySynchronize();
#endif
}

/// Launches `kernel`; with `Early`, as soon as every block of the kernel before has ended, or has said that its
/// dependents may begin, and before what that one wrote can be read.  Such a kernel calls wait_for_kernel_before()
/// before it reads or writes what that one writes.
template <bool Early, class... Parameters, class... Arguments>
void launch_after(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, cudaStream_t stream, Arguments&&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = Early ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), "start a kernel");
}

}  // namespace halftone::cuda
