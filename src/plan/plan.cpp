#include <halftone/plan.hpp>

#include <set>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "base/hash.hpp"
#include "formats/layer_names.hpp"
#include "formats/quantization_metadata.hpp"
#include "formats/stored_layers.hpp"
#include "plan/constraints.hpp"
#include "plan/plan_builder.hpp"
#include "plan/selection.hpp"

namespace halftone {
namespace {

void check_options(const PlanOptions& options) {
  if (options.spec.format == nullptr) fail(ErrorKind::usage, "no format was chosen");
  const FormatDescriptor& format = *options.spec.format;
  if (options.spec.input_scale && !format.facts().takes_input_scale) {
    fail(ErrorKind::usage, "--input-scale has no effect on {}", format.name());
  }
  if (options.spec.full_precision_mm && format.facts().comfy_format.empty()) {
    fail(ErrorKind::usage, "--full-precision-mm has no effect on {}, which stores no layer description", format.name());
  }
  if (options.quant_metadata && format.facts().comfy_format.empty()) {
    fail(ErrorKind::usage, "--quant-metadata has no effect on {}, which stores no layer description", format.name());
  }
}

/// One layer per line of the header's `_quantization_metadata`, in order of the weights' names.
formats::LayerTexts sidecars(const ModelIndex& model, const std::vector<Decision>& decisions) {
  formats::LayerTexts texts;
  for (const Decision& decision : decisions) {
    if (decision.action != Action::quantize) continue;
    std::string json = decision.spec.format->sidecar_json(model.find(decision.tensor)->info, decision.spec);
    if (!json.empty()) texts.emplace_back(formats::base_name(decision.tensor), std::move(json));
  }
  return texts;
}

std::vector<std::string> notes_for(const Plan& plan, const PlanOptions& options) {
  std::vector<std::string> notes;
  std::set<const FormatDescriptor*> used;
  for (const Decision& decision : plan.decisions) {
    if (decision.action == Action::quantize) used.insert(decision.spec.format);
  }
  for (const FormatDescriptor* format : all_formats()) {
    if (options.target != Target::comfyui || used.count(format) == 0 || !format->facts().needs_custom_node) continue;
    notes.push_back(fmt::format("{} is loaded by {}, not by ComfyUI alone", format->name(), format->facts().loaders));
  }
  if (used.empty()) notes.emplace_back("no layer is quantized");
  return notes;
}

}  // namespace

Plan build_plan(const ModelIndex& model, const SideTexts& texts, const PlanOptions& given) {
  PlanOptions options = given;
  check_options(options);
  options.spec = plan::complete_spec(given.spec, {"--block-size", "--rotation-group"});
  const plan::RuleSet rules = plan::collect_rules(model, options);
  plan::PlanBuilder builder(model);
  builder.plan().preset = rules.preset_name;
  builder.plan().preset_reason = rules.preset_reason;
  std::vector<Decision> decisions = plan::decide(model, formats::find_quantized_layers(model, texts), rules, options);
  for (Decision& decision : decisions) builder.add(decision);
  Metadata metadata = model.metadata();
  if (options.quant_metadata) formats::add_quantization_metadata(metadata, sidecars(model, decisions));
  Plan plan = builder.finish(std::move(metadata), model.has_metadata() || options.quant_metadata, std::move(decisions));
  plan.notes = notes_for(plan, options);
  return plan;
}

std::string Plan::hash() const { return base::digest(to_json()); }

}  // namespace halftone
