#include "formats/quantization_metadata.hpp"

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/strict_json.hpp"
#include "formats/layer_names.hpp"

namespace halftone::formats {
namespace {

using nlohmann::ordered_json;

/// A text or number as json.dumps writes it: non-ASCII escaped.
std::string scalar(const ordered_json& value) { return value.dump(-1, ' ', true); }

/// json.dumps with its default separators.
std::string python_dump(const ordered_json& value) {
  std::string text;
  if (value.is_object()) {
    for (const auto& [key, item] : value.items()) text += (text.empty() ? "" : ", ") + scalar(key) + ": " + python_dump(item);
    return "{" + text + "}";
  }
  if (value.is_array()) {
    for (const auto& item : value) text += (text.empty() ? "" : ", ") + python_dump(item);
    return "[" + text + "]";
  }
  return scalar(value);
}

}  // namespace

void add_quantization_metadata(Metadata& metadata, const LayerTexts& layers) {
  ordered_json document = {{"format_version", "1.0"}, {"layers", ordered_json::object()}};
  if (const auto existing = metadata.find(kMetadataKey); existing != metadata.end()) {
    const std::string origin = fmt::format("the metadata entry '{}' of the input", kMetadataKey);
    document = base::parse_json<ordered_json>(existing->second, ErrorKind::bad_quantization, origin);
    if (!has_layers(existing->second)) {
      fail(ErrorKind::bad_quantization, "{} holds no object 'layers'", origin);
    }
  }
  for (const auto& [base, text] : layers) document["layers"][base] = ordered_json::parse(text);
  metadata[kMetadataKey] = python_dump(document);
}

void remove_layers(Metadata& metadata, const std::vector<std::string>& layers) {
  const auto existing = metadata.find(kMetadataKey);
  if (layers.empty() || existing == metadata.end() || !has_layers(existing->second)) return;
  auto document = base::parse_json<ordered_json>(existing->second, ErrorKind::bad_quantization, kMetadataKey);
  for (const std::string& layer : layers) document["layers"].erase(layer);
  existing->second = python_dump(document);
}

bool has_layers(const std::string& entry) noexcept {
  try {
    const auto document = base::parse_json<ordered_json>(entry, ErrorKind::bad_quantization, "");
    return document.is_object() && document.contains("layers") && document["layers"].is_object();
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace halftone::formats
