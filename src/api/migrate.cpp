#include <halftone/migrate.hpp>

#include "api/run.hpp"
#include "formats/layer_names.hpp"
#include "io/model_files.hpp"

namespace halftone {
namespace {

Plan plan_of(const io::ModelFiles& files, const MigrateOptions& options) {
  return build_migrate_plan(files.index(), files.side_texts(), files.scalars(formats::kLegacyScaleSuffix), options);
}

}  // namespace

Plan plan_migration(const std::filesystem::path& input, const MigrateOptions& options) { return plan_of(io::ModelFiles(input), options); }

RunReport migrate(const std::filesystem::path& input, const std::filesystem::path& output, const MigrateOptions& options,
                  const RunOptions& run, RunControl& control) {
  const api::Planner planner = [&](const api::PlanSources& from) { return plan_of(from.files, options); };
  return api::run_on_cpu(input, output, planner, run, control);
}

}  // namespace halftone
