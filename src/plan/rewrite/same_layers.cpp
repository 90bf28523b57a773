#include "plan/rewrite/same_layers.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"

namespace halftone::plan {
namespace {

using formats::QuantizedLayer;

/// How a layer is read, as text.
std::string way_of(const QuantizedLayer& layer) {
  if (!layer.readable) return layer.format_text;
  const QuantSpec& spec = layer.readable->spec;
  return fmt::format("{} {} {} {}", layer.format_text, spec.format->name(), spec.block_size, spec.rotation_group);
}

}  // namespace

void require_same_layers(const std::vector<QuantizedLayer>& layers, const std::map<std::string, std::optional<std::string>>& names,
                         const Header& output, const SideTexts& texts) {
  const ModelIndex model({{"the output", output}});
  const auto found = formats::find_quantized_layers(model, texts);
  const formats::StoredByWeight written(found);
  std::size_t stayed = 0;
  for (const QuantizedLayer& layer : layers) {
    const auto& name = names.at(layer.base);
    if (!name) continue;
    ++stayed;
    const QuantizedLayer* after = written.find(formats::joined(*name, formats::kWeightSuffix));
    if (after != nullptr && way_of(*after) == way_of(layer)) continue;
    fail(ErrorKind::bad_quantization, "the layer '{}' would no longer be read as {}, but as {}; 'halftone migrate' writes labels first",
         layer.base, layer.format_name(), after == nullptr ? "plain numbers" : after->format_name());
  }
  if (stayed == found.size()) return;
  for (const QuantizedLayer& layer : found) {
    const bool known = std::any_of(layers.begin(), layers.end(), [&](const QuantizedLayer& before) {
      const auto& name = names.at(before.base);
      return name && *name == layer.base;
    });
    if (!known)
      fail(ErrorKind::bad_quantization, "the tensor '{}' would be taken for a layer of {}", layer.weight->info.name, layer.format_name());
  }
}

}  // namespace halftone::plan
