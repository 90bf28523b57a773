#include "formats/stored_layers.hpp"

#include <array>

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/strict_json.hpp"
#include "formats/layer_names.hpp"

namespace halftone::formats {
namespace {

using nlohmann::json;

/// Suffixes, after the layer's base name, of tensors that belong to a quantized weight.
constexpr std::array<std::string_view, 5> kCompanions = {kScaleSuffix, kInputScaleSuffix, kSidecarSuffix, kLegacyScaleSuffix,
                                                         kLegacyInputScaleSuffix};

/// What a layer without JSON is called that carries a scale of the older layout.
constexpr std::string_view kLegacyFormat = "scaled_fp8";

/// `layer`, if it is an object with a format.
json checked_layer(const std::string& base, json layer) {
  if (!layer.is_object() || !layer.contains("format") || !layer["format"].is_string()) {
    fail(ErrorKind::bad_quantization, "the quantization JSON of the layer '{}' is no object with a 'format'", base);
  }
  return layer;
}

/// Layer JSON by base name, from the tensors and then from the header, which wins.
std::map<std::string, json> layer_texts(const ModelIndex& model, const SideTexts& texts) {
  std::map<std::string, json> layers;
  for (const auto& [name, text] : texts) {
    const std::string base = base_name(name, kSidecarSuffix);
    const std::string origin = fmt::format("the quantization JSON of the layer '{}'", base);
    layers[base] = checked_layer(base, base::parse_json<json>(text, ErrorKind::bad_quantization, origin));
  }
  const auto entry = model.metadata().find(kMetadataKey);
  if (entry == model.metadata().end()) return layers;
  const std::string origin = fmt::format("the metadata entry '{}'", kMetadataKey);
  const json header = base::parse_json<json>(entry->second, ErrorKind::bad_quantization, origin);
  if (!header.is_object() || !header.contains("layers") || !header["layers"].is_object()) return layers;
  for (const auto& [base, layer] : header["layers"].items()) layers[base] = checked_layer(base, layer);
  return layers;
}

/// `group_size`, or 0 where it is absent or no size that a format could have.
std::uint32_t group_size(const json& layer) {
  const auto value = layer.find("group_size");
  if (value == layer.end() || !value->is_number_unsigned() || value->get<std::uint64_t>() > UINT32_MAX) return 0;
  return value->get<std::uint32_t>();
}

/// `convrot`, false where it is absent.  Throws bad_quantization where it is no boolean.
bool is_rotated(const std::string& base, const json& layer) {
  const auto value = layer.find("convrot");
  if (value == layer.end()) return false;
  if (!value->is_boolean()) fail(ErrorKind::bad_quantization, "the 'convrot' of the layer '{}' is neither true nor false", base);
  return value->get<bool>();
}

void attach_spec(QuantizedLayer& layer, std::string_view comfy_format, const json& facts) {
  const StoredLayer stored{.comfy_format = comfy_format,
                           .group_size = facts.is_object() ? group_size(facts) : 0,
                           .rotated = facts.is_object() && is_rotated(layer.base, facts),
                           .weight = &layer.weight->info,
                           .scales = layer.scales != nullptr ? &layer.scales->info : nullptr};
  for (const FormatDescriptor* format : all_formats()) {
    if ((layer.spec = format->recognise(stored))) return;
  }
}

QuantizedLayer describe(const ModelIndex& model, std::string base, const ModelTensor& weight) {
  QuantizedLayer layer{.base = std::move(base), .format_text = {}, .weight = &weight, .scales = nullptr, .spec = {}, .companions = {}};
  layer.scales = model.find(layer.base + std::string(kScaleSuffix));
  for (const std::string_view suffix : kCompanions) {
    const std::string name = layer.base + std::string(suffix);
    if (model.find(name) != nullptr) layer.companions.push_back(name);
  }
  return layer;
}

}  // namespace

std::vector<QuantizedLayer> find_quantized_layers(const ModelIndex& model, const SideTexts& texts) {
  const auto declared = layer_texts(model, texts);
  std::vector<QuantizedLayer> layers;
  for (const ModelTensor& tensor : model.tensors()) {
    if (!has_suffix(tensor.info.name, kWeightSuffix)) continue;
    std::string base = base_name(tensor.info.name);
    const auto facts = declared.find(base);
    const bool plain_cast = tensor.info.dtype == Dtype::F8_E4M3 || tensor.info.dtype == Dtype::F8_E5M2;
    if (facts == declared.end() && !plain_cast) continue;
    QuantizedLayer layer = describe(model, std::move(base), tensor);
    const bool legacy = model.find(layer.base + std::string(kLegacyScaleSuffix)) != nullptr;
    if (facts != declared.end()) {
      layer.format_text = facts->second["format"].get<std::string>();
      attach_spec(layer, layer.format_text, facts->second);
    } else if (legacy) {
      layer.format_text = kLegacyFormat;
    } else {
      layer.format_text = name_of(tensor.info.dtype);
      attach_spec(layer, {}, {});
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace halftone::formats
