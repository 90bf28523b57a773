#pragma once

#include "verify/contents.hpp"
#include "verify/findings.hpp"

namespace halftone::verify {

/// Checks the descriptions of layers: their keys, their tensors, and that each has a weight.
void check_labels(const Contents& contents, Findings& findings);

}  // namespace halftone::verify
