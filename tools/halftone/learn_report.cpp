#include "learn_report.hpp"

#include <cmath>

#include <fmt/format.h>

#include "base/text.hpp"

namespace halftone::tool {
namespace {

double changed_part(const LearnedLayer& layer) {
  return layer.elements == 0 ? 0 : static_cast<double>(layer.changed) / static_cast<double>(layer.elements);
}

std::string figures(const LearnedLayer& layer) {
  std::string text;
  const auto add = [&](const char* what, const std::optional<double>& value) {
    if (value) text += fmt::format("  {} {:.3f}", what, *value);
  };
  add("output error", layer.output_error_ratio);
  add("loss", layer.loss_ratio);
  add("squared error", layer.squared_error_ratio);
  return text;
}

std::string rank_text(const LearnedLayer& layer) {
  if (layer.rank == layer.wanted_rank) return fmt::format("  rank {}", layer.rank);
  return fmt::format("  rank {} instead of {}: no more directions were found", layer.rank, layer.wanted_rank);
}

/// Of a layer whose weight was moved: what its errors are relative to.
std::string target_text(const LearnedLayer& layer) {
  if (!layer.target) return {};
  return fmt::format("  target moved by {:.2f} % of the weight, damping {:.3g}", 100 * std::sqrt(layer.target->change),
                     layer.target->damping);
}

nlohmann::ordered_json target_json(const LearnedLayer& layer) {
  if (!layer.target) return {};
  return {{"damping", layer.target->damping}, {"change", layer.target->change}};
}

std::string lora_text(const LearnedLayer& layer) {
  if (!layer.lora_captured) return {};
  const char* error = layer.lora_by_output ? "output" : "squared";
  std::string text = fmt::format("  lora of rank {} captures {:.2f} % of the {} error", layer.lora_rank, 100 * *layer.lora_captured, error);
  if (layer.lora_directions < layer.lora_rank) text += fmt::format(" with {} directions: no more were found", layer.lora_directions);
  return text;
}

}  // namespace

nlohmann::ordered_json learned_json(const std::vector<LearnedLayer>& layers) {
  auto json = nlohmann::ordered_json::array();
  const auto number = [](const std::optional<double>& value) { return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(); };
  for (const LearnedLayer& layer : layers) {
    json.push_back({{"name", layer.tensor},
                    {"method", name_of(layer.method)},
                    {"kept_nearest_because", layer.kept_nearest_because},
                    {"loss_ratio", number(layer.loss_ratio)},
                    {"mse_ratio", number(layer.squared_error_ratio)},
                    {"output_error_ratio", number(layer.output_error_ratio)},
                    {"changed_codes", layer.changed},
                    {"elements", layer.elements},
                    {"moved_scales", layer.moved_scales},
                    {"rank", layer.rank},
                    {"wanted_rank", layer.wanted_rank},
                    {"captured_energy", layer.captured_energy},
                    {"basis_residual", layer.basis_residual},
                    {"damping", layer.damping},
                    {"target", target_json(layer)},
                    {"iterations", layer.iterations},
                    {"stop_reason", layer.stop_reason},
                    {"seconds", layer.seconds}});
    if (layer.lora_rank == 0) continue;
    json.back()["lora_rank"] = layer.lora_rank;
    json.back()["lora_directions"] = layer.lora_directions;
    json.back()["lora_captured"] = number(layer.lora_captured);
    json.back()["lora_error"] = layer.lora_by_output ? "output" : "squared";
  }
  return json;
}

std::string learned_text(const std::vector<LearnedLayer>& layers) {
  if (layers.empty()) return {};
  std::string text = "learned, errors relative to those of nearest rounding:\n";
  for (const LearnedLayer& layer : layers) {
    text += fmt::format("  {}  {}", base::printable(layer.tensor), name_of(layer.method));
    if (!layer.kept_nearest_because.empty()) {
      text += fmt::format("{}, because {}", layer.target ? " to the moved target" : "", layer.kept_nearest_because);
    } else {
      text += figures(layer);
      if (layer.changed > 0) text += fmt::format("  {:.2f} % of codes changed", 100 * changed_part(layer));
      if (layer.rank > 0) text += rank_text(layer);
    }
    text += target_text(layer);
    text += lora_text(layer);
    text += fmt::format("  {:.2f} s\n", layer.seconds);
  }
  return text;
}

}  // namespace halftone::tool
