#include <halftone/migrate.hpp>

#include "api/run.hpp"
#include "eval/float_reader.hpp"
#include "formats/layer_names.hpp"
#include "io/model_files.hpp"

namespace halftone {
namespace {

/// Throws bad_quantization for a layer with a scale that is not finite: it would stay as broken as it is.
void check_scales(const io::ModelFiles& files) {
  const auto ignore = [](const std::string&, const Error&) {};  // the plan has said what is wrong with descriptions
  for (const formats::QuantizedLayer& layer : formats::find_quantized_layers(files.index(), files.side_texts(), ignore)) {
    if (layer.readable) eval::stored_matrix(files, layer).require_finite_scales(layer.weight->info.name);
  }
  files.check();
}

Plan plan_of(const io::ModelFiles& files, const MigrateOptions& options) {
  Plan plan = build_migrate_plan(files.index(), files.side_texts(), files.scalars(formats::kLegacyScaleSuffix), options);
  check_scales(files);
  return plan;
}

}  // namespace

Plan plan_migration(const std::filesystem::path& input, const MigrateOptions& options) { return plan_of(io::ModelFiles(input), options); }

RunReport migrate(const std::filesystem::path& input, const std::filesystem::path& output, const MigrateOptions& options,
                  const RunOptions& run, RunControl& control) {
  const api::Planner planner = [&](const api::PlanSources& from) { return plan_of(from.files, options); };
  return api::run_on_cpu(input, output, planner, run, control);
}

}  // namespace halftone
