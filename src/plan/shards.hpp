#pragma once

#include <halftone/plan.hpp>

namespace halftone::plan {

/// Cuts the output of `plan` into several files.  By the order of their names, tensors are put into a file until its
/// data would exceed the size; those of a layer stay together, and a layer that is larger has a file of its own.
/// A model that fits one file is left as it is.  Throws usage where the files would be too many.
void cut_into_shards(Plan& plan, const Sharding& sharding);

}  // namespace halftone::plan
