#include "verify/layers.hpp"

#include <algorithm>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"

namespace halftone::verify {
namespace {

using formats::QuantizedLayer;

/// The formats that a label may mean by this name.
std::vector<const FormatDescriptor*> formats_called(std::string_view comfy_format) {
  std::vector<const FormatDescriptor*> found;
  for (const FormatDescriptor* format : all_formats()) {
    if (!comfy_format.empty() && format->facts().comfy_format == comfy_format) found.push_back(format);
  }
  return found;
}

/// Why a described layer cannot be read that contradicts no format.
std::string why_unreadable(const formats::StoredFacts& facts) {
  if (formats_called(facts.format).empty()) return fmt::format("is stored as '{}', a format that is not known", facts.format);
  return fmt::format("is described as '{}' with {}, which no format of that name has", facts.format,
                     facts.rotated ? "a rotation ('convrot')" : "row scales ('per_row')");
}

void check_companions(const Contents& contents, const QuantizedLayer& layer, Findings& findings) {
  const std::string_view format = layer.readable->spec.format->name();
  std::vector<std::string> expected;
  for (const LayerTensor& tensor : expected_tensors(layer)) {
    expected.push_back(tensor.name);
    const bool checked = tensor.role == Role::codes || tensor.role == Role::scales || tensor.role == Role::tensor_scale;
    if (checked || is_description(tensor.name) || tensor.name == formats::joined(layer.base, formats::kInputScaleSuffix)) continue;
    const ModelTensor* stored = contents.model.find(tensor.name);
    const bool optional = tensor.name == formats::joined(layer.base, formats::kLevelsSuffix);
    if (stored == nullptr && optional) continue;
    if (stored != nullptr && stored->info.dtype == tensor.dtype && stored->info.shape == tensor.shape) continue;
    findings.problem(layer.base,
                     fmt::format("{} expects a '{}' of {} {}, {}", format, tensor.name, name_of(tensor.dtype), to_string(tensor.shape),
                                 stored == nullptr ? std::string("and there is none")
                                                   : fmt::format("not {} {}", name_of(stored->info.dtype), to_string(stored->info.shape))));
  }
  if (Contents::is_legacy(layer)) return;
  for (const std::string& name : layer.scale_names()) {
    if (std::find(expected.begin(), expected.end(), name) != expected.end()) continue;
    findings.problem(layer.base, fmt::format("{} has no '{}'", format, name));
  }
}

void check_layer(const Contents& contents, const QuantizedLayer& layer, Findings& findings) {
  const formats::StoredFacts* facts = contents.facts(layer.base);
  if (layer.readable) {
    if (facts != nullptr && facts->rotated && layer.readable->spec.rotation_group == 0) {
      findings.problem(layer.base, fmt::format("is described as rotated ('convrot'), and {} is not", layer.readable->spec.format->name()));
    }
    return check_companions(contents, layer, findings);
  }
  if (!layer.contradiction.empty()) return findings.problem(layer.base, layer.contradiction);
  if (facts != nullptr) return findings.problem(layer.base, why_unreadable(*facts));
  if (Contents::is_legacy(layer)) {
    const Shape& scales = contents.tensor(layer.base, formats::kLegacyScaleSuffix)->info.shape;
    findings.problem(layer.base, fmt::format("its '{}' {} fits no weight of {}", formats::kLegacyScaleSuffix, to_string(scales),
                                             to_string(layer.weight->info.shape)));
  }
}

/// What a scale or table is called, and whether a weight without it is as good.
struct Suffix {
  std::string_view text;
  bool after_weight = false;  ///< follows the weight's full name
  bool idle = false;          ///< is for activations: no loader needs it
};

constexpr Suffix kSuffixes[] = {
    {.text = formats::kScaleSuffix},
    {.text = formats::kTensorScaleSuffix},
    {.text = formats::kLargestScaleSuffix},
    {.text = formats::kGroupScalesSuffix},
    {.text = formats::kRowScalesSuffix},
    {.text = formats::kLevelsSuffix},
    {.text = formats::kLegacyScaleSuffix},
    {.text = formats::kInputScaleSuffix, .idle = true},
    {.text = formats::kLegacyInputScaleSuffix, .idle = true},
    {.text = formats::kAbsmaxSuffix, .after_weight = true},
    {.text = formats::kQuantMapSuffix, .after_weight = true},
    {.text = formats::kNestedAbsmaxSuffix, .after_weight = true},
    {.text = formats::kNestedQuantMapSuffix, .after_weight = true},
};

void report_stray(const Contents& contents, const std::string& name, const Suffix& suffix, Findings& findings) {
  std::string base = formats::base_name(name, suffix.text);
  if (suffix.after_weight) {
    if (!formats::has_suffix(base, formats::kWeightSuffix)) return;
    base = formats::base_name(base);
  }
  if (contents.broken.count(base) != 0) return;
  const ModelTensor* weight = contents.tensor(base, formats::kWeightSuffix);
  if (weight == nullptr) return findings.problem(name, "is a scale of a layer without a weight");
  const std::string text = fmt::format("'{}' stands beside a weight of {} without a description", name, name_of(weight->info.dtype));
  const bool plain = is_source_float(weight->info.dtype);
  if (suffix.idle || (plain && suffix.text == formats::kLegacyScaleSuffix)) return findings.note(base, text);  // common, and harmless
  findings.problem(base, text + (plain ? ": it scales nothing" : ": the codes are read without it"));
}

}  // namespace

bool is_description(std::string_view name) noexcept {
  return formats::has_suffix(name, formats::kSidecarSuffix) || name.find(formats::kQuantStateSuffix) != std::string_view::npos;
}

std::vector<LayerTensor> expected_tensors(const QuantizedLayer& layer) {
  if (layer.readable->shape.size() != 2) return {};  // a plain cast; formats write matrices
  // The type that the weight had before is not always known; only texts depend on it.
  const TensorInfo weight{.name = layer.weight->info.name, .dtype = Dtype::BF16, .shape = layer.readable->shape};
  return layer.readable->spec.format->outputs(weight, layer.readable->spec);
}

void check_layers(const Contents& contents, Findings& findings) {
  for (const QuantizedLayer& layer : contents.layers) check_layer(contents, layer, findings);
}

void check_strays(const Contents& contents, Findings& findings) {
  std::set<std::string_view> owned;
  for (const QuantizedLayer& layer : contents.layers) {
    // A plain cast with a scale beside it is no layer of any format.
    if (layer.readable || !layer.contradiction.empty() || contents.facts(layer.base) != nullptr || Contents::is_legacy(layer)) {
      owned.insert(layer.companions.begin(), layer.companions.end());
    }
  }
  for (const ModelTensor& tensor : contents.model.tensors()) {
    if (owned.count(tensor.info.name) != 0) continue;
    for (const Suffix& suffix : kSuffixes) {
      if (formats::has_suffix(tensor.info.name, suffix.text)) report_stray(contents, tensor.info.name, suffix, findings);
    }
  }
}

}  // namespace halftone::verify
