#include "plan_report.hpp"

#include <map>

#include <fmt/format.h>

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

namespace {

/// What stands for the output: its file, or the index of its shards.
std::filesystem::path output_of(const Plan& plan, const PlanFacts& facts) {
  return plan.shards.empty() ? facts.output : facts.output.parent_path() / plan.index_name;
}

/// " in 3 files"; empty for one.
std::string in_files(const Plan& plan) {
  return plan.shards.empty() ? std::string() : fmt::format(" in {}", base::counted(plan.shards.size(), "file"));
}

}  // namespace

ordered_json plan_json(const Plan& plan, const PlanFacts& facts) {
  ordered_json json;
  json["input"] = {{"path", facts.input.string()}, {"bytes", plan.input_bytes}, {"tensors", plan.input_tensors}};
  json["output"] = {{"path", output_of(plan, facts).string()}, {"bytes", plan.output_bytes()}, {"tensors", plan.output.tensors.size()}};
  for (const OutputShard& shard : plan.shards) {
    json["output"]["shards"].push_back(
        {{"name", shard.name}, {"bytes", shard.header.file_bytes()}, {"tensors", shard.header.tensors.size()}});
  }
  json["preset"] = {{"name", plan.preset}, {"reason", plan.preset_reason}};
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
    for (const Decision& decision : plan.decisions) {
      const std::string format = format_of(decision);
      text += fmt::format("{:<9}{:<13}{}\n          {} ({})\n", name_of(decision.action), format, base::printable(decision.tensor),
                          decision.reason, decision.rule);
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
    text += fmt::format("output  {}, {}, {} ({} bytes)\n", base::printable(output_of(plan, facts).string()),
                        base::counted(plan.output.tensors.size(), "tensor") + in_files(plan), base::human_bytes(plan.output_bytes()),
                        plan.output_bytes());
  for (const std::string& note : plan.notes) text += fmt::format("note    {}\n", note);
  return text;
}

}  // namespace halftone::tool
