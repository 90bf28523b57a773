#pragma once

#include <filesystem>

#include <halftone/convert.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>
#include <halftone/verify.hpp>

#include "io/output_file.hpp"

namespace halftone::api {

/// Refuses before any work what `target` is known not to load, and an output of several files.  Throws usage.
void check_verifiable(const Plan& plan, Target target);

/// Checks the finished but unnamed `file`, the output that `report` is about, for `target` and against its input.  Throws verification.
[[nodiscard]] Verification verify_output(const io::OutputFile& file, const RunReport& report, const std::filesystem::path& input,
                                         Target target, unsigned threads, const RunControl& control);

}  // namespace halftone::api
