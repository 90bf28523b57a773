#pragma once

#include <cstdint>
#include <span>

#include <halftone/backend.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>

#include "exec/job_log.hpp"
#include "io/model_files.hpp"
#include "io/output_file.hpp"

namespace halftone::exec {

/// What a run may use.
struct Resources {
  unsigned threads = 1;
  std::uint64_t memory_bytes = std::uint64_t{1} << 30;  ///< anonymous memory, all threads together
};

/// Memory of an engine that a job which learns takes at most.
[[nodiscard]] std::uint64_t learning_bytes(const Job& job);

/// Runs every job of `plan` and leaves the data sections of `outputs`, the file or its shards, complete; commits nothing.
/// With a `log`, jobs that are done already are not run.
/// Throws the first error of a task, or interrupted.
/// `statistics`: what the plan's jobs learn from, or null.  Returns what was learned, in the order of the jobs.
std::vector<LearnedLayer> run_jobs(const Plan& plan, const io::ModelFiles& files, const io::ModelFiles* statistics, const Backend& backend,
                                   std::span<io::OutputFile* const> outputs, const Resources& resources, RunControl& control,
                                   JobLog* log = nullptr);

}  // namespace halftone::exec
