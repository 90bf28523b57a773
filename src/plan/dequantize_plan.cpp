#include <algorithm>
#include <unordered_set>

#include <halftone/plan.hpp>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"
#include "formats/stored_facts.hpp"
#include "formats/stored_layers.hpp"
#include "plan/plan_builder.hpp"
#include "plan/selection.hpp"

namespace halftone {
namespace {

using formats::QuantizedLayer;

Decision decision_for(const ModelTensor& tensor, Action action, std::string reason) {
  Decision decision{.tensor = tensor.info.name, .action = action, .rule = "dequantize", .reason = std::move(reason)};
  decision.layer = plan::is_layer(tensor.info);
  decision.in_bytes = decision.out_bytes = tensor.info.bytes();
  return decision;
}

}  // namespace

Plan build_dequantize_plan(const ModelIndex& model, const SideTexts& texts, Dtype dtype) {
  const auto layers = formats::find_quantized_layers(model, texts);
  if (layers.empty()) fail(ErrorKind::usage, "no layer of the input is quantized; there is nothing to dequantize");
  const formats::StoredByWeight stored(layers);
  std::unordered_set<std::string_view> companions;
  for (const QuantizedLayer& layer : layers) companions.insert(layer.companions.begin(), layer.companions.end());
  const bool legacy =
      std::any_of(layers.begin(), layers.end(), [](const auto& layer) { return formats::is_legacy_format(layer.format_text); });
  plan::PlanBuilder builder(model);
  builder.plan().preset = "none";
  builder.plan().preset_reason = "every quantized layer is dequantized";
  std::vector<Decision> decisions;
  for (const ModelTensor& tensor : model.tensors()) {
    const QuantizedLayer* layer = stored.find(tensor.info.name);
    const bool marker = legacy && formats::is_legacy_marker(tensor.info.name);
    if (marker || companions.count(tensor.info.name) != 0) {
      decisions.push_back(decision_for(tensor, Action::drop, marker ? "marks the older layout" : "belongs to a quantized layer"));
      decisions.back().out_bytes = 0;
    } else if (layer == nullptr) {
      decisions.push_back(decision_for(tensor, Action::keep, "is not quantized"));
      builder.add_copy(tensor);
    } else {
      decisions.push_back(decision_for(tensor, Action::cast, "is stored as " + layer->format_text));
      layer->require_readable();
      decisions.back().dtype = dtype;
      decisions.back().out_bytes = byte_count(dtype, layer->readable->shape);
      builder.add_dequantized(*layer, dtype);
    }
  }
  Metadata metadata = model.metadata();
  metadata.erase(formats::kMetadataKey);
  return builder.finish(std::move(metadata), model.has_metadata(), std::move(decisions));
}

}  // namespace halftone
