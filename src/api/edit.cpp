#include <halftone/edit.hpp>

#include "api/run.hpp"
#include "io/model_files.hpp"

namespace halftone {

Plan plan_edit(const std::filesystem::path& input, const EditOptions& options) {
  const io::ModelFiles files(input);
  return build_edit_plan(files.index(), files.side_texts(), options);
}

RunReport edit(const std::filesystem::path& input, const std::filesystem::path& output, const EditOptions& options, const RunOptions& run,
               RunControl& control) {
  const api::Planner planner = [&](const api::PlanSources& from) {
    return build_edit_plan(from.files.index(), from.files.side_texts(), options);
  };
  return api::run_on_cpu(input, output, planner, run, control);
}

}  // namespace halftone
