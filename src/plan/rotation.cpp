#include "plan/rotation.hpp"

#include <unordered_map>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/quant_spec.hpp"
#include "plan/constraints.hpp"
#include "plan/example.hpp"

namespace halftone::plan {
namespace {

/// An example has decided for the layers that it has.
bool is_asked(const Decision& decision) {
  return decision.action == Action::quantize && decision.rule != kLikeRule && can_go_unrotated(*decision.spec.format);
}

}  // namespace

bool can_go_unrotated(const FormatDescriptor& format) noexcept {
  return !format.facts().rotation_groups.empty() && !format.facts().plain.empty();
}

std::vector<const Job*> rotation_questions(const Plan& plan) {
  std::unordered_map<std::string_view, const Decision*> by_name;
  for (const Decision& decision : plan.decisions) by_name.emplace(decision.tensor, &decision);
  std::vector<const Job*> jobs;
  for (const Job& job : plan.jobs) {
    if (job.kind == JobKind::quantize && is_asked(*by_name.at(job.inputs[0].info.name))) jobs.push_back(&job);
  }
  return jobs;
}

void choose_rotation(Decision& decision, const formats::QuantizedLayer* stored, const PlanOptions& options) {
  if (options.rotation == Rotation::always || !options.rotation_errors || !is_asked(decision)) return;
  const auto found = options.rotation_errors->find(decision.tensor);
  if (found == options.rotation_errors->end()) {
    fail(ErrorKind::usage, "the layer '{}' has not been measured with and without rotation", decision.tensor);
  }
  const RotationErrors& errors = found->second;
  decision.rotation = errors;
  decision.reason +=
      fmt::format("; {}squared error {:.4g} rotated, {:.4g} not", errors.weighted ? "weighted " : "", errors.rotated, errors.plain);
  if (errors.rotation_wins()) return;
  decision.spec = formats::plain_form(decision.spec);
  if (stored != nullptr && formats::same_way(stored->readable->spec, decision.spec)) return keep_stored(decision);
  decision.reason += fmt::format("; written as {}", decision.spec.format->name());
}

std::vector<std::string> rotation_notes(const std::vector<Decision>& decisions, const PlanOptions& options) {
  if (options.rotation == Rotation::always) return {};
  if (!options.rotation_errors) return {"--rotation auto: nothing was measured, and every layer of a rotated format is rotated"};
  std::size_t asked = 0;
  std::size_t rotated = 0;
  std::size_t unweighted = 0;
  for (const Decision& decision : decisions) {
    if (!decision.rotation) continue;
    ++asked;
    if (decision.rotation->rotation_wins()) ++rotated;
    if (!decision.rotation->weighted) ++unweighted;
  }
  if (asked == 0) return {"--rotation auto has no effect: no rotated layer is left to it"};
  std::vector<std::string> notes = {
      fmt::format("--rotation auto: {} of {} rotated, where that loses less", rotated, base::counted(asked, "layer"))};
  if (!options.statistics || unweighted == 0) return notes;
  if (unweighted == asked && !options.allow_unused) {
    fail(ErrorKind::bad_statistics, "'{}' has no mean squares of the input of any rotated layer; --allow-unused goes on without them",
         options.statistics->path.string());
  }
  notes.push_back(
      fmt::format("--rotation auto: the statistics have no mean squares for {} of them, whose errors are not weighted", unweighted));
  return notes;
}

}  // namespace halftone::plan
