#include <halftone/plan.hpp>

#include "base/fail.hpp"
#include "base/hash.hpp"
#include "formats/layer_names.hpp"
#include "formats/quantization_metadata.hpp"
#include "formats/stored_layers.hpp"
#include "plan/constraints.hpp"
#include "plan/option_checks.hpp"
#include "plan/plan_builder.hpp"
#include "plan/plan_notes.hpp"
#include "plan/selection.hpp"

namespace halftone {
namespace {

/// The layers of the header's `_quantization_metadata`, in order of the weights' names.
formats::LayerTexts sidecars(const ModelIndex& model, const std::vector<Decision>& decisions) {
  formats::LayerTexts texts;
  for (const Decision& decision : decisions) {
    if (decision.action != Action::quantize) continue;
    std::string json = decision.spec.format->sidecar_json(model.find(decision.tensor)->info, decision.spec);
    if (!json.empty()) texts.emplace_back(formats::base_name(decision.tensor), std::move(json));
  }
  return texts;
}

/// Removes a `_quantization_metadata` without layers, on which ComfyUI fails; the note, or "".
std::string without_broken_entry(Metadata& metadata, const PlanOptions& options) {
  const auto entry = metadata.find(formats::kMetadataKey);
  if (options.target != Target::comfyui || entry == metadata.end() || formats::has_layers(entry->second)) return {};
  metadata.erase(entry);
  return fmt::format("the metadata entry '{}' of the input names no layers, and ComfyUI fails on such a file: it is left out",
                     formats::kMetadataKey);
}

}  // namespace

Plan build_plan(const ModelIndex& model, const SideTexts& texts, const PlanOptions& given) {
  PlanOptions options = given;
  plan::check_options(options);
  options.spec = plan::complete_spec(given.spec, {"--block-size", "--rotation-group"});
  const plan::RuleSet rules = plan::collect_rules(model, options);
  plan::PlanBuilder builder(model);
  builder.plan().preset = rules.preset_name;
  builder.plan().preset_reason = rules.preset_reason;
  std::vector<Decision> decisions = plan::decide(model, formats::find_quantized_layers(model, texts), rules, options);
  for (Decision& decision : decisions) builder.add(decision);
  Metadata metadata = model.metadata();
  const std::string note = without_broken_entry(metadata, options);
  if (options.quant_metadata) formats::add_quantization_metadata(metadata, sidecars(model, decisions));
  Plan plan = builder.finish(std::move(metadata), model.has_metadata() || options.quant_metadata, std::move(decisions));
  plan.notes = plan::notes_for(plan, options);
  plan.notes.insert(plan.notes.end(), rules.notes.begin(), rules.notes.end());
  if (!note.empty()) plan.notes.push_back(note);
  return plan;
}

std::string Plan::hash() const { return base::digest(to_json()); }

}  // namespace halftone
