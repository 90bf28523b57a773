#pragma once

#include <cuda_runtime.h>

namespace halftone::learn {
struct WeightedSearch;
}  // namespace halftone::learn

namespace halftone::cuda {

/// Engine::search_scales(); false where groups of the format have no scales of their own.
[[nodiscard]] bool launch_search_scales(const learn::WeightedSearch& search, cudaStream_t stream);

}  // namespace halftone::cuda
