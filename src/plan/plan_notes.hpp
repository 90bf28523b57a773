#pragma once

#include <string>
#include <vector>

#include <halftone/plan.hpp>

namespace halftone::plan {

/// What the user should know of the decisions of `plan`, each one sentence.
[[nodiscard]] std::vector<std::string> notes_for(const Plan& plan, const PlanOptions& options);

}  // namespace halftone::plan
