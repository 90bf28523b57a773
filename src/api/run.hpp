#pragma once

#include <filesystem>
#include <functional>

#include <halftone/convert.hpp>

namespace halftone::api {

/// Decides what is done with a model.
using Planner = std::function<Plan(const ModelIndex&, const SideTexts&)>;

/// Reads the headers of the model at `input`, plans, and writes `output`, which appears complete or not at all.
/// Throws Error.
RunReport run(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, const RunOptions& options,
              RunControl& control);

/// The same for a plan that computes nothing that a device could: it runs on the processor.
RunReport run_on_cpu(const std::filesystem::path& input, const std::filesystem::path& output, const Planner& planner, RunOptions options,
                     RunControl& control);

}  // namespace halftone::api
