#pragma once

#include <halftone/allocate.hpp>

#include "eval/float_reader.hpp"

namespace halftone::allocate {

/// allocate_formats() on a model that is open already; `statistics` is null without.
[[nodiscard]] Allocation allocate(const eval::FloatModel& model, const io::ModelFiles* statistics, const Backend& backend,
                                  const AllocateOptions& options, const RunControl& control);

}  // namespace halftone::allocate
