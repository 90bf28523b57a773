#include "plan/plan_notes.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.hpp"
#include "formats/loader_limits.hpp"
#include "plan/constraints.hpp"

namespace halftone::plan {
namespace {

/// Quantized layers that would load in ComfyUI and fail in its product.
std::size_t unaligned_layers(const Plan& plan, const PlanOptions& options) {
  if (options.target != Target::comfyui) return 0;
  return static_cast<std::size_t>(std::count_if(plan.jobs.begin(), plan.jobs.end(), [](const Job& job) {
    if (job.kind != JobKind::quantize || job.spec.full_precision_mm) return false;
    return !formats::product_takes(*job.spec.format, weight_shape(job));
  }));
}

/// Layers that `rule` keeps.
std::size_t kept_layers(const Plan& plan, std::string_view rule) {
  return static_cast<std::size_t>(std::count_if(plan.decisions.begin(), plan.decisions.end(), [&](const Decision& decision) {
    return decision.action == Action::keep && decision.rule == rule;
  }));
}

}  // namespace

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
  if (const std::size_t layers = kept_layers(plan, kTargetRule); layers > 0) {
    notes.push_back(fmt::format("{} {} unquantized because ComfyUI's fast product would fail on {}; 'halftone plan --explain' names {}",
                                base::counted(layers, "layer"), layers == 1 ? "stays" : "stay", layers == 1 ? "it" : "them",
                                layers == 1 ? "it" : "them"));
  }
  if (const std::size_t layers = kept_layers(plan, kShapeRule); layers > 0) {
    notes.push_back(fmt::format("{} of a shape that the format does not take {} unquantized; 'halftone plan --explain' names {}",
                                base::counted(layers, "layer"), layers == 1 ? "stays" : "stay", layers == 1 ? "it" : "them"));
  }
  return notes;
}

}  // namespace halftone::plan
