#pragma once

#include <halftone/plan.hpp>

namespace halftone::plan {

/// Refuses options that neither the format nor a rule's format heeds.  Throws usage, unsupported.
void check_options(const PlanOptions& options);

}  // namespace halftone::plan
