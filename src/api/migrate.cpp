#include <cmath>

#include <halftone/migrate.hpp>

#include "api/run.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "eval/float_reader.hpp"
#include "formats/layer_names.hpp"
#include "io/model_files.hpp"

namespace halftone {
namespace {

/// Throws bad_quantization where the scale of a layer's inputs, called `suffix`, is not one finite number.
void check_input_scale(const io::ModelFiles& files, const formats::QuantizedLayer& layer, std::string_view suffix,
                       const ScaleValues& scalars) {
  const FormatDescriptor& format = *layer.readable->spec.format;
  if (!format.facts().takes_input_scale && !format.storage().two_level) return;  // no loader reads it
  const std::string name = formats::joined(layer.base, suffix);
  const ModelTensor* tensor = files.index().find(name);
  if (tensor == nullptr) return;
  const auto value = scalars.find(name);
  if (value == scalars.end()) {
    fail(ErrorKind::bad_quantization, "the input scale '{}' must be one number of F32, F16 or BF16, not {} of {}", name,
         base::counted(element_count(tensor->info.shape), "element"), name_of(tensor->info.dtype));
  }
  if (!std::isfinite(value->second)) {
    fail(ErrorKind::bad_quantization, "the input scale '{}' must be a finite number, not {}", name, value->second);
  }
}

/// Throws bad_quantization for a layer with a scale that is not finite: it would stay as broken as it is.
void check_scales(const io::ModelFiles& files, bool with_input_scales) {
  const auto current = files.scalars(formats::kInputScaleSuffix);
  const auto legacy = files.scalars(formats::kLegacyInputScaleSuffix);
  const auto ignore = [](const std::string&, const Error&) {};  // the plan has said what is wrong with descriptions
  for (const formats::QuantizedLayer& layer : formats::find_quantized_layers(files.index(), files.side_texts(), ignore)) {
    if (!layer.readable) continue;
    eval::stored_matrix(files, layer).require_finite_scales(layer.weight->info.name);
    if (!with_input_scales) continue;
    check_input_scale(files, layer, formats::kInputScaleSuffix, current);
    check_input_scale(files, layer, formats::kLegacyInputScaleSuffix, legacy);
  }
  files.check();
}

Plan plan_of(const io::ModelFiles& files, const MigrateOptions& options) {
  Plan plan = build_migrate_plan(files.index(), files.side_texts(), files.scalars(formats::kLegacyScaleSuffix), options);
  check_scales(files, options.input_scale != Presence::remove);
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
