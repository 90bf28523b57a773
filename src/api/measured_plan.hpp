#pragma once

#include <halftone/plan.hpp>

#include "api/run.hpp"

namespace halftone::api {

/// The plan of a conversion.  With Rotation::automatic, what follows from weights is measured first and is an input to
/// the plan.  Throws what build_plan() throws; not_finite, bad_statistics, interrupted.
[[nodiscard]] Plan plan_of(const PlanOptions& options, const PlanSources& from);

}  // namespace halftone::api
