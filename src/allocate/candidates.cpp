#include "allocate/candidates.hpp"

#include <algorithm>
#include <map>
#include <string>

#include <halftone/safetensors.hpp>

#include "formats/stored_layers.hpp"
#include "plan/constraints.hpp"

namespace halftone::allocate {
namespace {

std::uint64_t digits(std::uint64_t value) { return std::to_string(value).size(); }

/// Bytes of the entries of `tensors` in the header of a file of `file_bytes`, nearly: offsets near the beginning are shorter.
std::uint64_t entry_bytes(std::vector<TensorInfo> tensors, std::uint64_t file_bytes) {
  const Header header = lay_out(std::move(tensors), {}, false);
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : header.tensors) {
    const Header alone = lay_out({{tensor.name, tensor.dtype, tensor.shape}}, {}, false);
    // The length field, the braces and the blanks at the end go; a comma comes.
    const std::string text = serialize(alone);
    const std::uint64_t entry = text.find_last_not_of(' ') + 1 - sizeof(std::uint64_t) - 2 + 1;
    bytes += entry - digits(0) - digits(alone.tensors.front().end) + 2 * digits(file_bytes);
  }
  return bytes;
}

std::uint64_t entry_bytes(const TensorInfo& weight, const QuantSpec& spec, std::uint64_t file_bytes) {
  std::vector<TensorInfo> tensors;
  for (const LayerTensor& tensor : spec.format->outputs(weight, spec)) tensors.push_back({tensor.name, tensor.dtype, tensor.shape});
  return entry_bytes(std::move(tensors), file_bytes);
}

/// The tensors of a layer as they are in the model; `stored` is null where it is not quantized.
std::vector<TensorInfo> tensors_of(const ModelIndex& model, const TensorInfo& weight, const formats::QuantizedLayer* stored) {
  std::vector<TensorInfo> tensors = {{weight.name, weight.dtype, weight.shape}};
  if (stored == nullptr) return tensors;
  for (const std::string& name : stored->companions) {
    const TensorInfo& info = model.find(name)->info;
    tensors.push_back({info.name, info.dtype, info.shape});
  }
  return tensors;
}

std::uint64_t byte_sum(const std::vector<TensorInfo>& tensors) {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : tensors) bytes += byte_count(tensor.dtype, tensor.shape);
  return bytes;
}

/// The weight as formats see it: of a stored layer what it is decoded to.
TensorInfo decoded(const TensorInfo& weight, const formats::QuantizedLayer* stored) {
  if (stored == nullptr) return weight;
  return {.name = weight.name, .dtype = Dtype::F32, .shape = stored->readable->shape};
}

/// Adds what `decision` of a conversion to `format` does to the layer.
void add_candidate(LayerCandidates& layer, const Decision& decision, const FormatDescriptor& format, const formats::QuantizedLayer* stored,
                   std::uint64_t file_bytes) {
  if (decision.action == Action::keep) {
    layer.kept_because = decision.reason;
    if (decision.rule == plan::kStoredRule && stored->readable->spec.format == &format) layer.stored_as = &format;
    return;
  }
  layer.specs.push_back(decision.spec);
  layer.bytes.push_back(decision.out_bytes);
  layer.text.push_back(entry_bytes(decoded(layer.weight->info, stored), decision.spec, file_bytes));
}

/// Takes away the specs that make the layer no smaller than it is: they would cost precision for nothing, and where errors
/// are added up over quantized layers, their small ones would hide those of others.
void drop_what_saves_nothing(LayerCandidates& layer) {
  const std::uint64_t kept = layer.kept_bytes + layer.kept_text;
  for (std::size_t i = layer.specs.size(); i-- > 0;) {
    if (layer.bytes[i] + layer.text[i] < kept) continue;
    layer.remove(i);
    if (layer.specs.empty()) layer.kept_because = "allocated: no format makes it smaller";
  }
}

}  // namespace

void LayerCandidates::remove(std::size_t i) {
  const auto at = static_cast<std::ptrdiff_t>(i);
  specs.erase(specs.begin() + at);
  bytes.erase(bytes.begin() + at);
  text.erase(text.begin() + at);
}

PlanOptions options_for(const AllocateOptions& options, const FormatDescriptor& format) {
  PlanOptions result = options.plan;
  result.spec = {.format = &format, .scales = can_search_scales(format) ? options.scales : ScaleMethod::absmax};
  result.rules.clear();
  const FormatFacts& facts = format.facts();
  if (!facts.block_sizes.empty() || !facts.rotation_groups.empty()) result.indivisible = Indivisible::keep;
  return result;
}

std::vector<LayerCandidates> find_candidates(const ModelIndex& model, const SideTexts& texts, const AllocateOptions& options) {
  std::map<std::string, LayerCandidates> by_name;
  const std::vector<formats::QuantizedLayer> quantized = formats::find_quantized_layers(model, texts);
  const formats::StoredByWeight stored(quantized);
  for (const FormatDescriptor* format : options.formats) {
    const Plan plan = build_plan(model, texts, options_for(options, *format));
    const std::uint64_t file_bytes = options.target_bytes.value_or(plan.output_bytes());
    for (const Decision& decision : plan.decisions) {
      if (!decision.layer || (decision.action != Action::quantize && decision.action != Action::keep)) continue;
      LayerCandidates& layer = by_name[decision.tensor];
      layer.weight = model.find(decision.tensor);
      const formats::QuantizedLayer* as_is = stored.find(decision.tensor);
      const std::vector<TensorInfo> tensors = tensors_of(model, layer.weight->info, as_is);
      layer.kept_bytes = byte_sum(tensors);
      layer.kept_text = entry_bytes(tensors, file_bytes);
      add_candidate(layer, decision, *format, as_is, file_bytes);
    }
  }
  std::vector<LayerCandidates> result;
  for (auto& [name, layer] : by_name) {
    if (options.keep) drop_what_saves_nothing(layer);
    result.push_back(std::move(layer));
  }
  return result;
}

}  // namespace halftone::allocate
