#pragma once

#include <cstdint>
#include <vector>

#include "exec/work.hpp"

namespace halftone::exec {

/// Values that go through binary32 at a time; small enough for the L2 cache.
inline constexpr std::uint64_t kFloatChunk = 1 << 16;

/// Writes the first `n` of `values` to `out` in the type of `tensor`, an output tensor, where they
/// are the elements from `first` on.  Throws out_of_range, naming tensor and place, where the type
/// cannot hold a finite value.
void store_floats(const Context& context, const TensorInfo& tensor, std::uint64_t first, const std::vector<float>& values, std::uint64_t n,
                  std::byte* out);

}  // namespace halftone::exec
