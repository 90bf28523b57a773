#include "verify/layers.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/ranges.h>

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
  if (facts != nullptr) findings.problem(layer.base, why_unreadable(*facts));
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

/// What is to be said of a scale or table that no layer owns.
enum class Stray : std::uint8_t {
  no_weight,
  idle,            ///< common, and harmless
  scales_nothing,  ///< beside a weight of floats
  not_read,        ///< beside codes
};

/// The layer of a stray tensor, and what it is; nothing where all is said already.
std::optional<std::pair<std::string, Stray>> stray(const Contents& contents, const std::string& name, const Suffix& suffix) {
  std::string base = formats::base_name(name, suffix.text);
  if (suffix.after_weight) {
    if (!formats::has_suffix(base, formats::kWeightSuffix)) return std::nullopt;
    base = formats::base_name(base);
  }
  if (contents.broken.count(base) != 0) return std::nullopt;
  const ModelTensor* weight = contents.tensor(base, formats::kWeightSuffix);
  if (weight == nullptr) return std::pair(std::move(base), Stray::no_weight);
  const bool plain = is_source_float(weight->info.dtype);
  if (suffix.idle || (plain && suffix.text == formats::kLegacyScaleSuffix)) return std::pair(std::move(base), Stray::idle);
  return std::pair(std::move(base), plain ? Stray::scales_nothing : Stray::not_read);
}

/// One finding for the stray tensors of a layer that are of a kind.
void report_strays(const Contents& contents, const std::string& base, Stray kind, const std::vector<std::string>& names,
                   Findings& findings) {
  const bool one = names.size() == 1;
  if (kind == Stray::no_weight) {
    const std::string more = one ? "" : fmt::format(" (and {} more)", names.size() - 1);
    return findings.problem(names.front(), "is a scale of a layer without a weight" + more);
  }
  const ModelTensor& weight = *contents.tensor(base, formats::kWeightSuffix);
  const std::string text = fmt::format("'{}' stand{} beside a weight of {} without a description", fmt::join(names, "', '"), one ? "s" : "",
                                       name_of(weight.info.dtype));
  if (kind == Stray::idle) return findings.note(base, text);
  if (kind == Stray::scales_nothing) return findings.problem(base, text + (one ? ": it scales nothing" : ": they scale nothing"));
  findings.problem(base, text + (one ? ": the codes are read without it" : ": the codes are read without them"));
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
  std::map<std::pair<std::string, Stray>, std::vector<std::string>> strays;
  for (const ModelTensor& tensor : contents.model.tensors()) {
    if (owned.count(tensor.info.name) != 0) continue;
    for (const Suffix& suffix : kSuffixes) {
      if (!formats::has_suffix(tensor.info.name, suffix.text)) continue;
      if (const auto found = stray(contents, tensor.info.name, suffix)) strays[*found].push_back(tensor.info.name);
    }
  }
  for (const auto& [what, names] : strays) report_strays(contents, what.first, what.second, names, findings);
}

}  // namespace halftone::verify
