#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include <halftone/backend.hpp>
#include <halftone/convert.hpp>

#include "io/model_files.hpp"

namespace halftone::api {

/// What a plan is made from.
struct PlanSources {
  const io::ModelFiles& files;
  const io::ModelFiles* statistics;                ///< null without
  const std::function<const Backend&()>& backend;  ///< waits for the device; for plans that follow from weights
  const RunOptions& options;
  RunControl& control;
};

/// Decides what is done with a model.
using Planner = std::function<Plan(const PlanSources&)>;

/// RunOptions::threads, or as many as there are cores.
[[nodiscard]] unsigned threads_of(const RunOptions& options);

/// Reads the headers of the model at `input`, plans, and writes `output`, which appears complete or not at all.
/// `statistics`: the file that the plan learns from; empty without.  With `verified_for` the finished file is checked for this target
/// first.  Throws Error.
RunReport run(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, const RunOptions& options,
              RunControl& control, std::optional<Target> verified_for = std::nullopt, const std::filesystem::path& statistics = {});

/// The same for an edit or a migration, which computes nothing that a device could: it runs on the processor.
/// A model that is up to date is not written.
RunReport run_on_cpu(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, RunOptions options,
                     RunControl& control);

/// Throws usage where `options` ask for a journal: what takes no time is not resumed.
void refuse_journal(const RunOptions& options);

}  // namespace halftone::api
