#include "formats/declared_facts.hpp"

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/strict_json.hpp"
#include "formats/layer_names.hpp"

namespace halftone::formats {

using nlohmann::ordered_json;

void refuse_broken(const std::string& /*layer*/, const Error& error) { throw error; }

FactsByLayer facts_of_tensors(const SideTexts& texts, const OnBroken& on_broken) {
  FactsByLayer layers;
  for (const auto& [name, text] : texts) {
    const std::size_t state = name.find(kQuantStateSuffix);
    const bool codebook = state != std::string::npos;
    const std::string base = codebook ? base_name(name.substr(0, state)) : base_name(name, kSidecarSuffix);
    const std::string origin = fmt::format("the quantization JSON of the layer '{}'", base);
    try {
      const auto json = base::parse_json<ordered_json>(text, ErrorKind::bad_quantization, origin);
      layers[base] = codebook ? facts_of_state(base, json) : facts_of_json(base, json);
    } catch (const Error& error) {
      on_broken(base, error);
    }
  }
  return layers;
}

FactsByLayer facts_of_header(const ModelIndex& model, const OnBroken& on_broken) {
  FactsByLayer layers;
  const auto entry = model.metadata().find(kMetadataKey);
  if (entry == model.metadata().end()) return layers;
  ordered_json header;
  try {
    const std::string origin = fmt::format("the metadata entry '{}'", kMetadataKey);
    header = base::parse_json<ordered_json>(entry->second, ErrorKind::bad_quantization, origin);
  } catch (const Error& error) {
    on_broken("", error);
  }
  if (!header.is_object() || !header.contains("layers") || !header["layers"].is_object()) return layers;
  for (const auto& [base, layer] : header["layers"].items()) {
    try {
      layers[base] = facts_of_json(base, layer);
    } catch (const Error& error) {
      on_broken(base, error);
    }
  }
  return layers;
}

}  // namespace halftone::formats
