#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/model.hpp>

#include "formats/declared_facts.hpp"
#include "formats/stored_layers.hpp"
#include "verify/findings.hpp"

namespace halftone::verify {

/// What the headers and the small texts of a model say; no weight.
struct Contents {
  /// `model` and `texts` must outlive this.  Descriptions that are broken become findings.
  Contents(const ModelIndex& model, const SideTexts& texts, Findings& findings);

  /// What is said of the layer `base`, the header first, as ComfyUI has it; null for nothing.
  [[nodiscard]] const formats::StoredFacts* facts(const std::string& base) const;
  /// Whether the layer has a scale of the older layout and no description.
  [[nodiscard]] static bool is_legacy(const formats::QuantizedLayer& layer) { return layer.format_text == formats::kLegacyFormat; }
  /// The tensor that is called `base` followed by `suffix`, or null.
  [[nodiscard]] const ModelTensor* tensor(std::string_view base, std::string_view suffix) const;

  const ModelIndex& model;
  const SideTexts& texts;
  std::vector<formats::QuantizedLayer> layers;
  formats::FactsByLayer of_tensors;
  formats::FactsByLayer of_header;
  std::set<std::string> broken;  ///< layers with a broken description, which is a finding already
};

}  // namespace halftone::verify
