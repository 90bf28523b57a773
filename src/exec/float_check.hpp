#pragma once

#include <cstdint>
#include <span>

#include <halftone/backend.hpp>
#include <halftone/tensor.hpp>

namespace halftone::exec {

/// Throws not_finite for the first NaN or infinity of `tensor`, or out_of_range for the first
/// magnitude above `limit` that is finite, naming tensor, position and value.  Values above
/// `limit` are no error where `limit` is infinite.  `largest` is what the output type holds, for
/// the sentence; `first` is the position in `tensor` of the first element of `data`.  Returns where
/// there is nothing to refuse.
void reject_first_beyond(const Backend& backend, const TensorInfo& tensor, std::span<const std::byte> data, float limit, float largest,
                         bool reject_not_finite, std::uint64_t first = 0);

}  // namespace halftone::exec
