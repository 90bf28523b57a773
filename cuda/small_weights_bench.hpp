#pragma once

#include <vector>

#include "bench_tools.hpp"

namespace halftone::cuda {

/// Times and compares what a model of small layers costs: the kernels of `format` for 1000 weights of 1024 × 1024 BF16,
/// recorded one by one into a graph of several streams, as many as a device has lanes.  The weights are those of
/// `weights`, BF16, again and again; nothing is done where that is less than one.
void bench_small_weights(const BenchTools& tools, const FormatDescriptor& format, const std::vector<std::byte>& weights);

}  // namespace halftone::cuda
