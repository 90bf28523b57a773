#include "formats/stored_layers.hpp"

#include <algorithm>
#include <array>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"
#include "formats/stored_facts.hpp"

namespace halftone {

bool is_side_text(std::string_view name) noexcept {
  return formats::has_suffix(name, formats::kSidecarSuffix) || name.find(formats::kQuantStateSuffix) != std::string_view::npos;
}

}  // namespace halftone

namespace halftone::formats {
namespace {

/// Suffixes, after the layer's base name, of tensors that belong to a quantized weight.
constexpr std::array kCompanions = {kScaleSuffix,     kTensorScaleSuffix, kLargestScaleSuffix,    kGroupScalesSuffix,
                                    kRowScalesSuffix, kLevelsSuffix,      kCorrectionSuffix,      kInputScaleSuffix,
                                    kSidecarSuffix,   kLegacyScaleSuffix, kLegacyInputScaleSuffix};
/// The same after the weight's full name.
constexpr std::array kWeightCompanions = {kAbsmaxSuffix, kQuantMapSuffix, kNestedAbsmaxSuffix, kNestedQuantMapSuffix};

/// What the small tensors of a model and its header, which wins, say of its layers.
FactsByLayer facts_of(const ModelIndex& model, const SideTexts& texts, const OnBroken& on_broken) {
  FactsByLayer layers = facts_of_header(model, on_broken);
  layers.merge(facts_of_tensors(texts, on_broken));
  return layers;
}

/// The tensors of one layer.
class LayerTensors {
 public:
  LayerTensors(const ModelIndex& model, const std::string& base, const ModelTensor& weight) {
    for (const std::string_view suffix : kCompanions) add(model, suffix, joined(base, suffix));
    for (const std::string_view suffix : kWeightCompanions) add(model, suffix, joined(weight.info.name, suffix));
  }

  [[nodiscard]] StoredLayer describe(const StoredFacts& facts, const ModelTensor& weight) const {
    StoredLayer layer{.comfy_format = facts.format,
                      .group_size = facts.group_size,
                      .per_row = facts.per_row,
                      .rotated = facts.rotated,
                      .rotation_group = facts.rotation_group,
                      .nested_block = facts.nested_block,
                      .nested_offset = facts.nested_offset,
                      .shape = facts.shape,
                      .weight = &weight.info,
                      .companions = {}};
    for (const auto& [suffix, tensor] : tensors_) layer.companions.emplace(suffix, &tensor->info);
    return layer;
  }

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [suffix, tensor] : tensors_) names.push_back(tensor->info.name);
    return names;
  }

  /// The tensor behind a description of describe(); null for null.
  [[nodiscard]] const ModelTensor* tensor_of(const TensorInfo* info) const {
    for (const auto& [suffix, tensor] : tensors_) {
      if (&tensor->info == info) return tensor;
    }
    return nullptr;
  }

 private:
  void add(const ModelIndex& model, std::string_view suffix, const std::string& name) {
    if (const ModelTensor* tensor = model.find(name)) tensors_.emplace(suffix, tensor);
  }

  std::map<std::string_view, const ModelTensor*> tensors_;
};

/// Asks every format about a layer and notes what the first that knows it says.
void recognise(QuantizedLayer& layer, const StoredLayer& stored, const LayerTensors& tensors) {
  for (const FormatDescriptor* format : all_formats()) {
    const LayerReading found = format->recognise(stored);
    if (found.stored) {
      layer.readable = {found.stored->spec,
                        found.stored->shape,
                        tensors.tensor_of(found.stored->scales),
                        tensors.tensor_of(found.stored->tensor_scale),
                        tensors.tensor_of(found.stored->row_scales),
                        tensors.tensor_of(found.stored->levels),
                        tensors.tensor_of(found.stored->nested_scales),
                        tensors.tensor_of(found.stored->nested_levels),
                        found.stored->nested_offset};
      layer.contradiction.clear();
      return;
    }
    if (!found.contradiction.empty()) layer.contradiction += (layer.contradiction.empty() ? "" : "; ") + found.contradiction;
  }
}

/// Why a weight with the scales of an older layout is of none of today's formats.
std::string why_no_layer(const TensorInfo& weight, const TensorInfo& scales) {
  const std::string shape = to_string(weight.shape);
  if (weight.shape.size() != 2) return fmt::format("'{}' is {}, which is no matrix", weight.name, shape);
  return fmt::format("'{}' is {}, which is neither one number nor one for each row or square block of {}", scales.name,
                     to_string(scales.shape), shape);
}

}  // namespace

void QuantizedLayer::require_readable() const {
  if (readable) return;
  if (contradiction.empty()) fail(ErrorKind::unsupported, "the layer '{}' is stored as {}, which cannot be read yet", base, format_text);
  fail(ErrorKind::bad_quantization, "the layer '{}' is described as {}, but its tensors do not fit: {}", base, format_text, contradiction);
}

std::vector<std::string> QuantizedLayer::scale_names() const {
  constexpr std::array suffixes = {kScaleSuffix,     kTensorScaleSuffix, kLargestScaleSuffix, kGroupScalesSuffix,
                                   kRowScalesSuffix, kLegacyScaleSuffix, kAbsmaxSuffix,       kNestedAbsmaxSuffix};
  std::vector<std::string> names;
  for (const std::string& name : companions) {
    if (std::any_of(suffixes.begin(), suffixes.end(), [&](std::string_view suffix) { return has_suffix(name, suffix); })) {
      names.push_back(name);
    }
  }
  return names;
}

std::vector<QuantizedLayer> find_quantized_layers(const ModelIndex& model, const SideTexts& texts, const OnBroken& on_broken) {
  const FactsByLayer declared = facts_of(model, texts, on_broken);
  std::vector<QuantizedLayer> layers;
  for (const ModelTensor& tensor : model.tensors()) {
    if (!has_suffix(tensor.info.name, kWeightSuffix)) continue;
    QuantizedLayer layer{
        .base = base_name(tensor.info.name), .format_text = {}, .weight = &tensor, .readable = {}, .contradiction = {}, .companions = {}};
    const auto found = declared.find(layer.base);
    const bool plain_cast = tensor.info.dtype == Dtype::F8_E4M3 || tensor.info.dtype == Dtype::F8_E5M2;
    if (found == declared.end() && !plain_cast && tensor.info.dtype != Dtype::I8) continue;
    const LayerTensors tensors(model, layer.base, tensor);
    const StoredFacts facts = found != declared.end() ? found->second : StoredFacts{};
    StoredLayer stored = tensors.describe(facts, tensor);
    layer.format_text = facts.format.empty() ? std::string(name_of(tensor.info.dtype)) : facts.format;
    // A label that cannot be read is a label nevertheless.
    const bool labelled = found != declared.end() || texts.count(joined(layer.base, kSidecarSuffix)) != 0;
    const TensorInfo* legacy = labelled ? nullptr : legacy_scales(stored);
    if (found == declared.end() && legacy == nullptr && !plain_cast) continue;
    if (legacy != nullptr) {
      layer.format_text = plain_cast ? kLegacyFormat : kLegacyInt8Format;
      describe_legacy(stored, *legacy);
    }
    recognise(layer, stored, tensors);
    if (legacy != nullptr && is_legacy_format(stored.comfy_format)) layer.contradiction = why_no_layer(tensor.info, *legacy);
    if (layer.readable) layer.readable->spec.full_precision_mm = facts.full_precision_mm;
    layer.companions = tensors.names();
    const std::string state = joined(tensor.info.name, kQuantStateSuffix);
    for (auto text = texts.lower_bound(state); text != texts.end() && text->first.starts_with(state); ++text) {
      layer.companions.push_back(text->first);
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::string layer_of(std::string_view tensor) {
  tensor = tensor.substr(0, tensor.find(kQuantStateSuffix));
  for (const std::string_view suffix : kWeightCompanions) {
    if (has_suffix(tensor, suffix)) tensor.remove_suffix(suffix.size());
  }
  for (const std::string_view suffix : kCompanions) {
    if (has_suffix(tensor, suffix)) return base_name(tensor, suffix);
  }
  return has_suffix(tensor, kWeightSuffix) ? base_name(tensor) : std::string(tensor);
}

StoredByWeight::StoredByWeight(const std::vector<QuantizedLayer>& layers) : layers_(layers) {
  for (const QuantizedLayer& layer : layers) by_weight_.emplace(layer.weight->info.name, &layer);
}

const QuantizedLayer* StoredByWeight::find(std::string_view weight) const {
  const auto found = by_weight_.find(weight);
  return found == by_weight_.end() ? nullptr : found->second;
}

}  // namespace halftone::formats
