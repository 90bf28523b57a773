#include "allocate/candidates.hpp"

#include <algorithm>
#include <map>

#include <halftone/safetensors.hpp>

namespace halftone::allocate {
namespace {

/// Digits that the two offsets of a tensor have more in a file of gigabytes than in one of this layer alone, about.
constexpr std::uint64_t kOffsetDigits = 8;

/// Bytes of the entries of `tensors` in a header, nearly: the offsets depend on what stands before.
std::uint64_t entry_bytes(std::vector<TensorInfo> tensors) {
  const std::uint64_t n = tensors.size();
  return serialize(lay_out(std::move(tensors), {}, false)).size() - sizeof(std::uint64_t) + n * kOffsetDigits;
}

std::uint64_t entry_bytes(const TensorInfo& weight, const QuantSpec& spec) {
  std::vector<TensorInfo> tensors;
  for (const LayerTensor& tensor : spec.format->outputs(weight, spec)) tensors.push_back({tensor.name, tensor.dtype, tensor.shape});
  return entry_bytes(std::move(tensors));
}

}  // namespace

PlanOptions options_for(const AllocateOptions& options, const FormatDescriptor& format) {
  PlanOptions result = options.plan;
  result.spec = {.format = &format};
  result.rules.clear();
  const FormatFacts& facts = format.facts();
  if (!facts.block_sizes.empty() || !facts.rotation_groups.empty()) result.indivisible = Indivisible::keep;
  return result;
}

std::vector<LayerCandidates> find_candidates(const ModelIndex& model, const SideTexts& texts, const AllocateOptions& options) {
  std::map<std::string, LayerCandidates> by_name;
  for (const FormatDescriptor* format : options.formats) {
    const Plan plan = build_plan(model, texts, options_for(options, *format));
    for (const Decision& decision : plan.decisions) {
      if (!decision.layer || (decision.action != Action::quantize && decision.action != Action::keep)) continue;
      LayerCandidates& layer = by_name[decision.tensor];
      layer.weight = model.find(decision.tensor);
      layer.kept_bytes = decision.in_bytes;
      layer.kept_text = entry_bytes({{layer.weight->info.name, layer.weight->info.dtype, layer.weight->info.shape}});
      if (decision.action == Action::keep) {
        layer.kept_because = decision.reason;
        continue;
      }
      layer.specs.push_back(decision.spec);
      layer.bytes.push_back(decision.out_bytes);
      layer.text.push_back(entry_bytes(layer.weight->info, decision.spec));
    }
  }
  std::vector<LayerCandidates> result;
  for (auto& [name, layer] : by_name) result.push_back(std::move(layer));
  return result;
}

}  // namespace halftone::allocate
