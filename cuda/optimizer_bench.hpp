#pragma once

#include "bench_tools.hpp"

namespace halftone::cuda {

/// Times a step of each optimizer on a rows × columns weight, as learned rounding makes it: gradients and errors of
/// binary16.  A step's result is compared with the CPU's first.
void bench_optimizers(const BenchTools& tools, std::uint64_t rows, std::uint64_t columns);

}  // namespace halftone::cuda
