#pragma once

#include <functional>

#include <halftone/convert.hpp>

#include "command.hpp"
#include "conversion_options.hpp"

namespace halftone::tool {

/// Runs `work` under a progress display and prints what it did.
void run_and_report(Session& session, const RunArguments& arguments, const std::filesystem::path& output,
                    const std::function<RunReport(const RunOptions&)>& work);

/// Prints a plan that is not run.
void report_dry_run(const Session& session, const RunArguments& arguments, const std::filesystem::path& output, const Plan& plan);

}  // namespace halftone::tool
