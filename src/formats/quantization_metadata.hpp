#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <halftone/safetensors.hpp>

namespace halftone::formats {

/// Layer base names and their `.comfy_quant` texts, in the order in which they are written.
using LayerTexts = std::vector<std::pair<std::string, std::string>>;

/// Sets `_quantization_metadata` to `{"format_version": "1.0", "layers": {…}}` in the spelling of
/// Python's json.dumps.  Layers that an existing entry names and `layers` does not are kept.
/// Throws bad_quantization where the existing entry is no such object.
void add_quantization_metadata(Metadata& metadata, const LayerTexts& layers);

/// Removes layers, by base name, from an existing `_quantization_metadata`; nothing happens without one.
void remove_layers(Metadata& metadata, const std::vector<std::string>& layers);

/// The labels in the `_quantization_metadata` of a file that is rewritten; none where there is no such entry, or one
/// without layers.
class HeaderLabels {
 public:
  explicit HeaderLabels(const Metadata& metadata);

  /// The label of a layer, by base name, or null.
  [[nodiscard]] const nlohmann::ordered_json* find(const std::string& layer) const;
  /// Replaces the label of a layer that has one.
  void set(const std::string& layer, nlohmann::ordered_json label);
  /// Gives layers other names, or takes those out that get none; the order stays.
  /// Throws bad_quantization where two layers would have one name.
  void rename(const std::map<std::string, std::optional<std::string>>& names);
  /// Writes the entry anew where something changed.
  void store(Metadata& metadata) const;

 private:
  nlohmann::ordered_json document_;  ///< null without an entry
  bool changed_ = false;
};

/// Throws bad_quantization where an entry is no JSON.
void check_metadata_json(const std::string& entry);

/// Whether an entry is JSON with an object `layers`, as loaders expect.
[[nodiscard]] bool has_layers(const std::string& entry) noexcept;

}  // namespace halftone::formats
