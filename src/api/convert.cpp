#include <halftone/convert.hpp>

#include "api/run.hpp"
#include "io/model_files.hpp"

namespace halftone {

Plan plan_conversion(const std::filesystem::path& input, const PlanOptions& options) {
  const io::ModelFiles files(input);
  return build_plan(files.index(), files.side_texts(), options);
}

RunReport convert(const std::filesystem::path& input, const std::filesystem::path& output, const PlanOptions& options,
                  const RunOptions& run_options, RunControl& control) {
  const api::Planner planner = [&](const io::ModelFiles& files) { return build_plan(files.index(), files.side_texts(), options); };
  return api::run(input, output, planner, run_options, control);
}

RunReport dequantize(const std::filesystem::path& input, const std::filesystem::path& output, Dtype dtype, const RunOptions& run_options,
                     RunControl& control) {
  const api::Planner planner = [&](const io::ModelFiles& files) { return build_dequantize_plan(files.index(), files.side_texts(), dtype); };
  return api::run(input, output, planner, run_options, control);
}

}  // namespace halftone
