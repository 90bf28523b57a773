#pragma once

#include "command.hpp"
#include "conversion_options.hpp"

namespace halftone::tool {

/// Decides the conversion and prints the plan.
void report_plan(const ConversionArguments& arguments, Session& session, bool explain);

}  // namespace halftone::tool
