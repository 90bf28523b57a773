#pragma once

#include <filesystem>
#include <span>

#include <halftone/convert.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>
#include <halftone/verify.hpp>

#include "io/output_file.hpp"

namespace halftone::api {

/// Refuses before any work what `target` is known not to load.  Throws usage.
void check_verifiable(const Plan& plan, Target target);

/// Checks the finished but unnamed output that `report` is about, its file or its shards, for `target` and against its input.
/// `files` begin with them.  Throws verification.
[[nodiscard]] Verification verify_output(std::span<io::OutputFile* const> files, const RunReport& report,
                                         const std::filesystem::path& input, Target target, unsigned threads, const RunControl& control);

}  // namespace halftone::api
