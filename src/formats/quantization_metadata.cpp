#include "formats/quantization_metadata.hpp"

#include <nlohmann/json.hpp>
#include <tuple>

#include "base/fail.hpp"
#include "base/strict_json.hpp"
#include "formats/layer_names.hpp"
#include "formats/python_json.hpp"

namespace halftone::formats {
namespace {

using nlohmann::ordered_json;

constexpr const char* kLayers = "layers";

}  // namespace

void add_quantization_metadata(Metadata& metadata, const LayerTexts& layers) {
  ordered_json document = {{"format_version", "1.0"}, {kLayers, ordered_json::object()}};
  if (const auto existing = metadata.find(kMetadataKey); existing != metadata.end()) {
    const std::string origin = fmt::format("the metadata entry '{}' of the input", kMetadataKey);
    document = base::parse_json<ordered_json>(existing->second, ErrorKind::bad_quantization, origin);
    if (!has_layers(existing->second)) {
      fail(ErrorKind::bad_quantization, "{} holds no object 'layers'", origin);
    }
  }
  for (const auto& [base, text] : layers) document[kLayers][base] = ordered_json::parse(text);
  metadata[kMetadataKey] = python_dump(document);
}

void remove_layers(Metadata& metadata, const std::vector<std::string>& layers) {
  const auto existing = metadata.find(kMetadataKey);
  if (layers.empty() || existing == metadata.end() || !has_layers(existing->second)) return;
  auto document = base::parse_json<ordered_json>(existing->second, ErrorKind::bad_quantization, kMetadataKey);
  for (const std::string& layer : layers) document[kLayers].erase(layer);
  existing->second = python_dump(document);
}

HeaderLabels::HeaderLabels(const Metadata& metadata) {
  const auto entry = metadata.find(kMetadataKey);
  if (entry == metadata.end() || !has_layers(entry->second)) return;
  document_ = base::parse_json<ordered_json>(entry->second, ErrorKind::bad_quantization, kMetadataKey);
}

const ordered_json* HeaderLabels::find(const std::string& layer) const {
  if (document_.is_null()) return nullptr;
  const auto found = document_[kLayers].find(layer);
  return found == document_[kLayers].end() ? nullptr : &*found;
}

void HeaderLabels::set(const std::string& layer, ordered_json label) {
  document_[kLayers][layer] = std::move(label);
  changed_ = true;
}

void HeaderLabels::rename(const std::map<std::string, std::optional<std::string>>& names) {
  if (document_.is_null()) return;
  ordered_json renamed = ordered_json::object();
  for (const auto& [layer, label] : document_[kLayers].items()) {
    const auto found = names.find(layer);
    if (found != names.end() && !found->second) continue;
    const std::string& name = found == names.end() ? layer : *found->second;
    if (renamed.contains(name)) {
      fail(ErrorKind::bad_quantization, "the metadata entry '{}' would describe two layers '{}'", kMetadataKey, name);
    }
    renamed[name] = label;
  }
  changed_ = changed_ || renamed != document_[kLayers];
  document_[kLayers] = std::move(renamed);
}

void HeaderLabels::store(Metadata& metadata) const {
  if (changed_) metadata[kMetadataKey] = python_dump(document_);
}

void check_metadata_json(const std::string& entry) {
  std::ignore = base::parse_json<ordered_json>(entry, ErrorKind::bad_quantization, fmt::format("the metadata entry '{}'", kMetadataKey));
}

bool has_layers(const std::string& entry) noexcept {
  try {
    const auto document = base::parse_json<ordered_json>(entry, ErrorKind::bad_quantization, "");
    return document.is_object() && document.contains(kLayers) && document[kLayers].is_object();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace halftone::formats
