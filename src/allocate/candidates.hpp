#pragma once

#include <vector>

#include <halftone/allocate.hpp>

namespace halftone::allocate {

/// What may become of one layer: specs as a conversion to each of the formats would have them.
struct LayerCandidates {
  const ModelTensor* weight = nullptr;
  std::vector<QuantSpec> specs;      ///< empty for a layer that is kept whatever the format
  std::vector<std::uint64_t> bytes;  ///< of all tensors of the layer, for each spec
  std::vector<std::uint64_t> text;   ///< of their entries in the header, nearly
  std::uint64_t kept_bytes = 0;      ///< of the layer as it is, with scales and labels
  std::uint64_t kept_text = 0;
  std::string kept_because;                     ///< where there is no spec
  const FormatDescriptor* stored_as = nullptr;  ///< of the formats, that in which the layer is stored already

  /// Takes away the spec `i`.
  void remove(std::size_t i);
};

/// The layers of a model by name, those that a preset drops or casts left out.  Throws what build_plan() throws.
[[nodiscard]] std::vector<LayerCandidates> find_candidates(const ModelIndex& model, const SideTexts& texts, const AllocateOptions& options);

/// The options of a conversion to `format`, in which layers that it does not take are kept.
[[nodiscard]] PlanOptions options_for(const AllocateOptions& options, const FormatDescriptor& format);

}  // namespace halftone::allocate
