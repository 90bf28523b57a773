#pragma once

#include <functional>

#include <halftone/bench.hpp>

namespace halftone::cuda {

/// halftone::bench_linear() on one GPU.
void bench_linear(int device, const LinearBenchOptions& options, const std::function<void(const LinearTime&)>& report);

}  // namespace halftone::cuda
