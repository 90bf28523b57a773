#include "allocation_report.hpp"

#include <cmath>
#include <map>

#include "base/decibels.hpp"
#include "base/text.hpp"
#include "figures_json.hpp"

namespace halftone::tool {
namespace {

using nlohmann::ordered_json;

std::string_view name_of(const AllocationCandidate& candidate) { return candidate.format == nullptr ? "keep" : candidate.format->name(); }

/// Relative L2 of the outputs of a layer.
double output_error(const AllocatedLayer& layer, const AllocationCandidate& candidate) {
  return candidate.output_noise == 0 ? 0 : std::sqrt(candidate.output_noise / layer.output_signal);
}

/// How the conversion chooses scales.
std::string_view scales_of(const Allocation& allocation) {
  if (allocation.scales == ScaleMethod::absmax) return "with plain scales";
  return allocation.search_heeds_statistics ? "with --scales search by the statistics" : "with --scales search";
}

std::string how_good(const Allocation& allocation) {
  if (allocation.is_best) return "no other choice of these formats is better";
  return fmt::format("a better choice of these formats gains at most {:.3g} %", 100 * allocation.gap);
}

/// What the goal asked for and got, where it is no size.
std::string goal_text(const Allocation& allocation, const AllocationFacts& facts) {
  const char* of = facts.has_statistics ? "of outputs, " : "";
  const char* counted = facts.balance == Balance::layers ? "each layer counted alike" : "errors added up as they are";
  if (facts.min_sqnr_db) {
    return fmt::format("goal    {}, {}{}; at least {} dB were asked for\n", base::decibels(allocation.reached), of, counted,
                       *facts.min_sqnr_db);
  }
  if (!facts.max_output_error) return {};
  return fmt::format("goal    relative L2 {}, {}{}; at most {} was asked for\n", base::scientific(allocation.reached, 4), of, counted,
                     *facts.max_output_error);
}

ordered_json goal_json(const Allocation& allocation, const AllocationFacts& facts) {
  const char* const balance = facts.balance == Balance::layers ? "layers" : "weights";
  if (facts.min_sqnr_db) return {{"min_sqnr_db", *facts.min_sqnr_db}, {"reached", number(allocation.reached)}, {"balance", balance}};
  if (facts.max_output_error) {
    return {{"max_output_error", *facts.max_output_error}, {"reached", number(allocation.reached)}, {"balance", balance}};
  }
  return {{"target_bytes", facts.target_bytes.value_or(0)}, {"reached", allocation.plan.output_bytes()}, {"balance", balance}};
}

}  // namespace

std::string allocation_text(const Allocation& allocation, const AllocationFacts& facts) {
  std::string text;
  if (!allocation.layers.empty())
    text += fmt::format("{:>8} {:>10} {:>11}  {:<13} {}\n", "SQNR dB", "out rel L2", "bytes", "format", "tensor");
  std::map<std::string_view, std::uint64_t> counts;
  for (const AllocatedLayer& layer : allocation.layers) {
    const AllocationCandidate& choice = layer.choice();
    ++counts[name_of(choice)];
    text += fmt::format("{:>8} {:>10} {:>11}  {:<13} {}\n", base::decibel_figure(choice.figures.sqnr_db()),
                        base::scientific(output_error(layer, choice), 3), choice.bytes, name_of(choice), base::printable(layer.name));
  }
  std::string chosen;
  for (const auto& [name, count] : counts) chosen += fmt::format("{}{} {}", chosen.empty() ? "" : ", ", count, name);
  if (chosen.empty()) chosen = "no layer is quantized";
  text += fmt::format("chosen  {}; {}\n", chosen, how_good(allocation));
  text += fmt::format("error   {}, relative L2 of {} {}\n", base::decibels(allocation.total.sqnr_db()),
                      facts.has_statistics ? "outputs" : "outputs for inputs without correlation",
                      base::scientific(allocation.output_error, 4));
  text += goal_text(allocation, facts);
  text +=
      fmt::format("assumed each weight rounded to nearest, {}; --rounding learned changes errors, not the size\n", scales_of(allocation));
  const std::uint64_t bytes = allocation.plan.output_bytes();
  text += fmt::format("output  {} ({} bytes)", base::human_bytes(bytes), bytes);
  if (facts.target_bytes) text += fmt::format(" of at most {}", *facts.target_bytes);
  for (const std::string& note : allocation.notes) text += fmt::format("\nnote    {}", note);
  return text + fmt::format("\nrules   {}\nnext    {}\n", base::printable(facts.rules.string()), base::printable(facts.conversion));
}

ordered_json allocation_json(const Allocation& allocation, const AllocationFacts& facts) {
  ordered_json layers = ordered_json::array();
  for (const AllocatedLayer& layer : allocation.layers) {
    ordered_json candidates = ordered_json::array();
    for (const AllocationCandidate& candidate : layer.candidates) {
      candidates.push_back({{"format", name_of(candidate)},
                            {"unchanged", candidate.is_unchanged},
                            {"bytes", candidate.bytes},
                            {"sqnr_db", number(candidate.figures.sqnr_db())},
                            {"noise", number(candidate.figures.noise)},
                            {"signal", number(candidate.figures.signal)},
                            {"output_rel_l2", number(output_error(layer, candidate))}});
    }
    layers.push_back({{"name", layer.name}, {"format", name_of(layer.choice())}, {"candidates", std::move(candidates)}});
  }
  ordered_json json = {
      {"input", facts.input}, {"rules", facts.rules.string()}, {"convert", facts.conversion}, {"layers", std::move(layers)}};
  json["output"] = {{"bytes", allocation.plan.output_bytes()}};
  if (facts.target_bytes) json["output"]["target_bytes"] = *facts.target_bytes;
  json["goal"] = goal_json(allocation, facts);
  json["total"] = figures_json(allocation.total);
  json["output_rel_l2"] = number(allocation.output_error);
  json["scales"] = allocation.scales == ScaleMethod::search ? "search" : "absmax";
  json["scales_by_statistics"] = allocation.search_heeds_statistics;
  json["best"] = allocation.is_best;
  json["gap"] = allocation.gap;
  json["notes"] = allocation.notes;
  return json;
}

}  // namespace halftone::tool
