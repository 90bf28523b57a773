#include "plan/example.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/quant_spec.hpp"
#include "formats/stored_layers.hpp"
#include "plan/selection.hpp"

namespace halftone {

Example example_of(const ModelIndex& model, const SideTexts& texts, std::string name) {
  Example example{.name = std::move(name), .layers = {}, .files = {}};
  for (const ModelTensor& tensor : model.tensors()) {
    if (plan::is_layer(tensor.info)) example.layers.emplace(tensor.info.name, std::nullopt);
  }
  const auto layers = formats::find_quantized_layers(model, texts);
  if (layers.empty()) fail(ErrorKind::usage, "no layer is quantized, and there is nothing to follow");
  for (const formats::QuantizedLayer& layer : layers) {
    layer.require_readable();
    const QuantSpec& spec = layer.readable->spec;
    example.layers[layer.weight->info.name] = QuantSpec{.format = spec.format,
                                                        .block_size = spec.block_size,
                                                        .rotation_group = spec.rotation_group,
                                                        .group_size = spec.group_size,
                                                        .double_quant = spec.double_quant};
  }
  return example;
}

namespace plan {
namespace {

/// The names of the weights of a model's layers.
std::vector<std::string_view> weights_of(const ModelIndex& model) {
  std::vector<std::string_view> weights;
  for (const ModelTensor& tensor : model.tensors()) {
    if (is_layer(tensor.info)) weights.push_back(tensor.info.name);
  }
  return weights;
}

/// What stands in front of `name` in `longer`, its dot included; empty where it is no such name.
std::string_view prefix_of(std::string_view longer, std::string_view name) {
  if (longer.size() <= name.size() + 1 || !longer.ends_with(name)) return {};
  const std::string_view prefix = longer.substr(0, longer.size() - name.size());
  return prefix.ends_with('.') ? prefix : std::string_view();
}

/// "1 layer of … is" or "3 layers of … are".
std::string layers_of(std::size_t n, const std::string& whose) {
  return fmt::format("{} of {} {}", base::counted(n, "layer"), whose, n == 1 ? "is" : "are");
}

}  // namespace

ExampleLayers::ExampleLayers(const Example& example, const ModelIndex& model) : example_(example) {
  const std::vector<std::string_view> weights = weights_of(model);
  bridge(weights);
  if (std::any_of(weights.begin(), weights.end(), [&](std::string_view weight) { return find(weight) != nullptr; })) return;
  fail(ErrorKind::usage, "--like: no layer of '{}' has the name of a layer of the input", example.name);
}

void ExampleLayers::bridge(const std::vector<std::string_view>& weights) {
  using Prefix = std::pair<bool, std::string_view>;  // whether the example's names have it
  std::map<Prefix, std::size_t> counts;
  std::size_t most = 0;
  for (const std::string_view weight : weights) {
    if (example_.layers.find(weight) != example_.layers.end()) ++most;
    for (const auto& [name, spec] : example_.layers) {
      if (const auto prefix = prefix_of(name, weight); !prefix.empty()) ++counts[{true, prefix}];
      if (const auto prefix = prefix_of(weight, name); !prefix.empty()) ++counts[{false, prefix}];
    }
  }
  for (const auto& [prefix, count] : counts) {
    if (count <= most) continue;
    most = count;
    (prefix.first ? added_ : stripped_) = prefix.second;
    (prefix.first ? stripped_ : added_).clear();
  }
}

std::string ExampleLayers::bridged(std::string_view weight) const {
  if (!stripped_.empty() && weight.starts_with(stripped_)) return std::string(weight.substr(stripped_.size()));
  return added_ + std::string(weight);
}

const std::optional<QuantSpec>* ExampleLayers::find(std::string_view weight) const {
  auto found = example_.layers.find(weight);
  if (found == example_.layers.end()) found = example_.layers.find(bridged(weight));
  return found == example_.layers.end() ? nullptr : &found->second;
}

std::vector<std::string> ExampleLayers::notes(const std::vector<Decision>& decisions) const {
  std::vector<std::string> notes;
  if (!stripped_.empty()) notes.push_back(fmt::format("--like: the names of '{}' lack the prefix '{}' of the input's", name(), stripped_));
  if (!added_.empty())
    notes.push_back(fmt::format("--like: the names of '{}' have the prefix '{}', which the input's lack", name(), added_));
  std::unordered_set<const void*> met;
  std::vector<std::string_view> unknown;
  for (const Decision& decision : decisions) {
    if (!decision.layer) continue;
    const auto* found = find(decision.tensor);
    if (found == nullptr) unknown.push_back(decision.tensor);
    met.insert(found);
  }
  std::vector<std::string_view> absent;
  for (const auto& [layer, spec] : example_.layers) {
    if (spec && met.count(&spec) == 0) absent.push_back(layer);
  }
  if (!unknown.empty()) {
    notes.push_back(fmt::format("--like: {} not in '{}': {}", layers_of(unknown.size(), "the input"), name(), fmt::join(unknown, ", ")));
  }
  if (!absent.empty()) {
    notes.push_back(fmt::format("--like: {} not in the input: {}", layers_of(absent.size(), "'" + name() + "'"), fmt::join(absent, ", ")));
  }
  return notes;
}

bool apply_example(Decision& decision, const ExampleLayers& example, const PlanOptions& options) {
  const auto* found = example.find(decision.tensor);
  if (found == nullptr) return false;
  decision.rule = kLikeRule;
  if (!*found) {
    decision.reason = fmt::format("it is not quantized in '{}'", example.name());
    return true;
  }
  const std::string origin = fmt::format("--like: the layer '{}' of '{}'", decision.tensor, example.name());
  decision.action = Action::quantize;
  decision.spec = options.spec;
  decision.spec.format = (*found)->format;
  decision.spec.block_size = (*found)->block_size;
  decision.spec.rotation_group = (*found)->rotation_group;
  decision.spec.group_size = (*found)->group_size;
  decision.spec.double_quant = (*found)->double_quant;
  decision.spec = heeded(formats::complete_spec(decision.spec, {origin, origin, origin}));
  decision.reason = fmt::format("'{}' has it as {}", example.name(), decision.spec.format->name());
  return true;
}

}  // namespace plan
}  // namespace halftone
