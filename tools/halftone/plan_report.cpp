#include "plan_report.hpp"

#include <cmath>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/text.hpp"

namespace halftone::tool {
namespace {

using nlohmann::ordered_json;

std::string format_of(const Decision& decision) {
  if (decision.action == Action::quantize) return std::string(decision.spec.format->name());
  if (decision.action == Action::cast) return std::string(name_of(decision.dtype));
  return {};
}

struct Count {
  std::uint64_t tensors = 0;
  std::uint64_t in_bytes = 0;
  std::uint64_t out_bytes = 0;
};

/// Tensors and bytes by what happens to them.
std::map<std::string, Count> tally(const Plan& plan) {
  std::map<std::string, Count> counts;
  for (const Decision& decision : plan.decisions) {
    const std::string format = format_of(decision);
    Count& count = counts[fmt::format("{}{}{}", name_of(decision.action), format.empty() ? "" : " ", format)];
    ++count.tensors;
    count.in_bytes += decision.in_bytes;
    count.out_bytes += decision.out_bytes;
  }
  return counts;
}

}  // namespace

std::filesystem::path output_of(const Plan& plan, const std::filesystem::path& output) {
  return plan.shards.empty() ? output : output.parent_path() / plan.index_name;
}

namespace {

/// " in 3 files"; empty for one.
std::string in_files(const Plan& plan) {
  return plan.shards.empty() ? std::string() : fmt::format(" in {}", base::counted(plan.shards.size(), "file"));
}

/// The recipes of layers whose codes or scales are chosen by more than their nearest values.
std::map<std::string_view, const LearnRecipe*> recipes_of(const Plan& plan) {
  std::map<std::string_view, const LearnRecipe*> recipes;
  for (const Job& job : plan.jobs) {
    if (job.learn) recipes.emplace(job.inputs[0].info.name, &*job.learn);
  }
  return recipes;
}

/// The tensors that a recipe reads besides the weight.
std::vector<std::string> statistics_of(const LearnRecipe& recipe) {
  const LayerStatistics& found = recipe.statistics;
  std::vector<std::string> names;
  for (const auto* tensor :
       {&found.second_moment, &found.diagonal, &found.mean, &found.count, &found.cross_moment, &found.mean_quantized}) {
    if (*tensor) names.push_back((*tensor)->info.name);
  }
  return names;
}

ordered_json recipe_json(const LearnRecipe& recipe) {
  ordered_json json = {{"method", name_of(recipe.method)}, {"statistics", statistics_of(recipe)}};
  json["bias"] = recipe.bias ? ordered_json(recipe.bias->info.name) : ordered_json();
  json["lora_rank"] = recipe.lora_rank;
  return json;
}

/// "rounded by feedback, with a.second_moment, a.mean; corrects a.bias".
std::string recipe_text(const LearnRecipe& recipe) {
  std::string text = recipe.method == LearnMethod::nearest ? "rounded to nearest" : fmt::format("rounded by {}", name_of(recipe.method));
  const std::vector<std::string> statistics = statistics_of(recipe);
  if (!statistics.empty()) text += fmt::format(", with {}", fmt::join(statistics, ", "));
  if (recipe.bias) text += fmt::format("; corrects {}", recipe.bias->info.name);
  if (recipe.lora_rank != 0) text += fmt::format("; a LoRA of rank {} of what is lost", recipe.lora_rank);
  return text;
}

/// JSON has no infinity.
ordered_json error_json(double error) { return std::isfinite(error) ? ordered_json(error) : ordered_json(); }

ordered_json rotation_json(const RotationErrors& errors) {
  return {{"rotated", errors.rotation_wins()},
          {"rotated_error", error_json(errors.rotated)},
          {"plain_error", error_json(errors.plain)},
          {"weighted", errors.weighted}};
}

}  // namespace

ordered_json plan_json(const Plan& plan, const PlanFacts& facts) {
  ordered_json json;
  json["input"] = {{"path", facts.input.string()}, {"bytes", plan.input_bytes}, {"tensors", plan.input_tensors}};
  json["output"] = {
      {"path", output_of(plan, facts.output).string()}, {"bytes", plan.output_bytes()}, {"tensors", plan.output.tensors.size()}};
  for (const OutputShard& shard : plan.shards) {
    json["output"]["shards"].push_back(
        {{"name", shard.name}, {"bytes", shard.header.file_bytes()}, {"tensors", shard.header.tensors.size()}});
  }
  json["preset"] = {{"name", plan.preset}, {"reason", plan.preset_reason}};
  const auto recipes = recipes_of(plan);
  json["layers"] = ordered_json::array();
  for (const Decision& decision : plan.decisions) {
    if (!decision.layer) continue;
    json["layers"].push_back({{"name", decision.tensor},
                              {"action", name_of(decision.action)},
                              {"format", format_of(decision)},
                              {"reason", decision.reason},
                              {"rule", decision.rule},
                              {"in_bytes", decision.in_bytes},
                              {"out_bytes", decision.out_bytes}});
    if (decision.rotation) json["layers"].back()["rotation"] = rotation_json(*decision.rotation);
    if (const auto found = recipes.find(decision.tensor); found != recipes.end()) {
      json["layers"].back()["rounding"] = recipe_json(*found->second);
    }
  }
  json["up_to_date"] = plan.up_to_date;
  json["changes"] = ordered_json::array();
  for (const Change& change : plan.changes) json["changes"].push_back({{"subject", change.subject}, {"what", change.what}});
  json["notes"] = plan.notes;
  json["device"] = facts.device;
  json["memory"] = {{"host", facts.memory_bytes}, {"device", facts.device_memory_bytes}};
  json["plan_hash"] = plan.hash();
  return json;
}

std::string plan_text(const Plan& plan, const PlanFacts& facts, bool explain) {
  std::string text;
  if (explain) {
    const auto recipes = recipes_of(plan);
    for (const Decision& decision : plan.decisions) {
      const std::string format = format_of(decision);
      const auto recipe = recipes.find(decision.tensor);
      text += fmt::format("{:<9}{:<13}{}\n          {} ({})\n", name_of(decision.action), format, base::printable(decision.tensor),
                          decision.reason, decision.rule);
      if (recipe != recipes.end()) text += fmt::format("          {}\n", base::printable(recipe_text(*recipe->second)));
    }
    text += '\n';
  }
  text += fmt::format("input   {}, {}, {}\n", base::printable(facts.input.string()), base::counted(plan.input_tensors, "tensor"),
                      base::human_bytes(plan.input_bytes));
  text += fmt::format("preset  {}: {}\n", plan.preset, plan.preset_reason);
  for (const auto& [what, count] : tally(plan)) {
    text += fmt::format("{:>6}  {:<21} {:>10} -> {}\n", count.tensors, what, base::human_bytes(count.in_bytes),
                        base::human_bytes(count.out_bytes));
  }
  for (const Change& change : plan.changes) {
    text += fmt::format("change  {}: {}\n", base::printable(change.subject), base::printable(change.what));
  }
  if (!plan.up_to_date)
    text += fmt::format("output  {}, {}, {} ({} bytes)\n", base::printable(output_of(plan, facts.output).string()),
                        base::counted(plan.output.tensors.size(), "tensor") + in_files(plan), base::human_bytes(plan.output_bytes()),
                        plan.output_bytes());
  for (const std::string& note : plan.notes) text += fmt::format("note    {}\n", note);
  return text;
}

}  // namespace halftone::tool
