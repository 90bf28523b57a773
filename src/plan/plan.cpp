#include <halftone/plan.hpp>

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "base/hash.hpp"
#include "base/text.hpp"
#include "formats/layer_names.hpp"
#include "formats/quantization_metadata.hpp"
#include "formats/stored_layers.hpp"
#include "plan/constraints.hpp"
#include "plan/plan_builder.hpp"
#include "plan/selection.hpp"

namespace halftone {
namespace {

/// Whether a format that the conversion or one of its rules names has a property.
template <class Property>
bool any_format(const PlanOptions& options, const Property& has) {
  return has(*options.spec.format) || std::any_of(options.rules.begin(), options.rules.end(), [&](const Rule& rule) {
           return rule.action == Action::quantize && rule.format != nullptr && has(*rule.format);
         });
}

bool is_described(const FormatDescriptor& format) { return !format.facts().comfy_format.empty(); }

bool has_shape_needs(const FormatDescriptor& format) {
  const FormatFacts& facts = format.facts();
  return !facts.rotation_groups.empty() || !facts.block_sizes.empty() || facts.column_multiple > 1;
}

[[noreturn]] void refuse_search(const FormatDescriptor& format) {
  // One integer scale for a whole weight gains much, but needs the error of the whole weight.
  if (format.name() == "int8") fail(ErrorKind::unsupported, "--scales search is not supported yet for int8");
  fail(ErrorKind::usage, "--scales search gains nothing on {}", format.name());
}

/// Refuses options that nothing of the conversion heeds.
void check_options(const PlanOptions& options) {
  if (options.spec.format == nullptr) fail(ErrorKind::usage, "no format was chosen");
  const std::string_view name = options.spec.format->name();
  if (options.spec.input_scale && !any_format(options, [](const auto& format) { return format.facts().takes_input_scale; })) {
    fail(ErrorKind::usage, "--input-scale has no effect on {}", name);
  }
  if (options.spec.full_precision_mm && !any_format(options, is_described)) {
    fail(ErrorKind::usage, "--full-precision-mm has no effect on {}, which stores no layer description", name);
  }
  if (options.quant_metadata && !any_format(options, is_described)) {
    fail(ErrorKind::usage, "--quant-metadata has no effect on {}, which stores no layer description", name);
  }
  if (options.spec.scales == ScaleMethod::search && !any_format(options, can_search_scales)) refuse_search(*options.spec.format);
  if (options.indivisible && !any_format(options, has_shape_needs)) {
    fail(ErrorKind::usage, "--indivisible has no effect on {}, which takes every shape", name);
  }
}

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

/// Quantized layers that would load in ComfyUI and fail in its product.
std::size_t unaligned_layers(const Plan& plan, const PlanOptions& options) {
  if (options.target != Target::comfyui) return 0;
  return static_cast<std::size_t>(std::count_if(plan.jobs.begin(), plan.jobs.end(), [](const Job& job) {
    if (job.kind != JobKind::quantize || job.spec.full_precision_mm) return false;
    const std::uint32_t alignment = job.spec.format->facts().matmul_alignment;
    const Shape& shape = job.inputs[0].info.shape;
    return shape[0] % alignment != 0 || shape[1] % alignment != 0;
  }));
}

/// Layers that the format keeps because it does not take their shape.
std::size_t unfit_layers(const Plan& plan) {
  return static_cast<std::size_t>(std::count_if(plan.decisions.begin(), plan.decisions.end(), [](const Decision& decision) {
    return decision.action == Action::keep && decision.rule == plan::kShapeRule;
  }));
}

/// Removes a `_quantization_metadata` without layers, on which ComfyUI fails; the note, or "".
std::string without_broken_entry(Metadata& metadata, const PlanOptions& options) {
  const auto entry = metadata.find(formats::kMetadataKey);
  if (options.target != Target::comfyui || entry == metadata.end() || formats::has_layers(entry->second)) return {};
  metadata.erase(entry);
  return fmt::format("the metadata entry '{}' of the input names no layers, and ComfyUI fails on such a file: it is left out",
                     formats::kMetadataKey);
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
  if (const std::size_t layers = unaligned_layers(plan, options); layers > 0) {
    notes.push_back(fmt::format("{} {} a side that ComfyUI's fast product cannot take, and will fail there; --preset none adjusts nothing",
                                base::counted(layers, "layer"), layers == 1 ? "has" : "have"));
  }
  if (const std::size_t layers = unfit_layers(plan); layers > 0) {
    notes.push_back(fmt::format("{} of a shape that the format does not take {} unquantized; 'halftone plan --explain' names {}",
                                base::counted(layers, "layer"), layers == 1 ? "stays" : "stay", layers == 1 ? "it" : "them"));
  }
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
  const std::string note = without_broken_entry(metadata, options);
  if (options.quant_metadata) formats::add_quantization_metadata(metadata, sidecars(model, decisions));
  Plan plan = builder.finish(std::move(metadata), model.has_metadata() || options.quant_metadata, std::move(decisions));
  plan.notes = notes_for(plan, options);
  plan.notes.insert(plan.notes.end(), rules.notes.begin(), rules.notes.end());
  if (!note.empty()) plan.notes.push_back(note);
  return plan;
}

std::string Plan::hash() const { return base::digest(to_json()); }

}  // namespace halftone
