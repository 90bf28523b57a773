#pragma once

#include "exec/work.hpp"
#include "formats/stored_matrix.hpp"

namespace halftone::exec {

/// The weight that `job`, which has a StoredWeight, reads.  Throws bad_quantization where a scale is
/// not finite.
[[nodiscard]] formats::StoredMatrix stored_input(const Job& job, const Context& context);

}  // namespace halftone::exec
