#include "learn/optimizer.hpp"

namespace halftone {

bool has_variants(Optimizer optimizer) {
  return learn::with_optimizer(optimizer, []<class O>(O) { return O::kHasVariants; });
}

namespace learn {

int matrices_of_moments(Optimizer optimizer, std::uint64_t rows, std::uint64_t columns) {
  return with_optimizer(optimizer, [&]<class O>(O) { return O::is_factored(rows, columns) ? 1 : O::kMoments; });
}

std::uint64_t sampled_elements(Optimizer optimizer, std::uint64_t elements) {
  const std::uint64_t sampling = with_optimizer(optimizer, []<class O>(O) { return O::kSampling; });
  return sampling == 0 ? 0 : (elements + sampling - 1) / sampling;
}

}  // namespace learn
}  // namespace halftone
