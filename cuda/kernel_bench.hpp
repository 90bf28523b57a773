#pragma once

// Times the kernels on data in device memory; no CUDA header.

#include <halftone/bench.hpp>

namespace halftone::cuda {

/// halftone::bench_kernels on the device of this ordinal.
void bench_kernels(int device, const KernelBenchOptions& options, const std::function<void(const KernelTime&)>& report);

}  // namespace halftone::cuda
