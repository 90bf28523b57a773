#include "formats/codebook_format.hpp"

#include <cstring>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "formats/double_quant.hpp"
#include "formats/float_types.hpp"
#include "formats/layer_names.hpp"
#include "formats/layer_tensors.hpp"

namespace halftone::formats {
namespace {

/// The table as 16 little-endian binary32.
std::string table_bytes(float (*level)(std::uint32_t)) {
  std::string bytes(16 * sizeof(float), '\0');
  for (std::uint32_t code = 0; code < 16; ++code) {
    const float value = level(code);
    std::memcpy(bytes.data() + code * sizeof value, &value, sizeof value);
  }
  return bytes;
}

/// The block sizes that bitsandbytes knows, its default first.
std::vector<std::uint32_t> codebook_block_sizes() { return {64, 32, 128, 256, 512, 1024, 2048, 4096}; }

}  // namespace

FormatFacts codebook_facts(FormatFacts own, Storage storage) {
  own.code_dtype = Dtype::U8;
  own.storage = storage;
  own.block_sizes = codebook_block_sizes();
  own.heuristic_block = own.block_sizes.front();
  own.needs_custom_node = true;
  return own;
}

Support CodebookFormat::accepts(const TensorInfo& weight, const QuantSpec& spec) const {
  if (element_count(weight.shape) >= spec.block_size) return {};
  return {false, fmt::format("its {} elements are fewer than the block size {}", element_count(weight.shape), spec.block_size)};
}

// Python's json.dumps; the order of the keys is all that tells the two layouts apart.
std::string CodebookFormat::state_json(const TensorInfo& weight, const QuantSpec& spec) const {
  const std::string shape = fmt::format("[{}]", fmt::join(weight.shape, ", "));
  const std::string_view dtype = torch_name(weight.dtype);
  if (layout_.bitsandbytes) {
    const std::string nested = fmt::format(", \"nested_blocksize\": {}, \"nested_dtype\": \"float32\", \"nested_offset\": {}", kNestedBlock,
                                           std::string(kOffsetWidth, ' '));
    return fmt::format("{{\"quant_type\": \"{}\", \"blocksize\": {}, \"dtype\": \"{}\", \"shape\": {}{}}}", layout_.type, spec.block_size,
                       dtype, shape, spec.double_quant ? nested : "");
  }
  return fmt::format("{{\"dtype\": \"{}\", \"shape\": {}, \"blocksize\": {}, \"quant_type\": \"{}\"}}", dtype, shape, spec.block_size,
                     layout_.type);
}

std::uint64_t CodebookFormat::stored_elements(std::uint64_t elements, std::uint32_t block_size) const {
  return base::round_up(elements, layout_.bitsandbytes ? 2 : block_size);
}

std::vector<LayerTensor> CodebookFormat::outputs(const TensorInfo& weight, const QuantSpec& spec) const {
  const std::uint64_t elements = element_count(weight.shape);
  std::string state = state_json(weight, spec);
  const std::uint64_t state_bytes = state.size();
  const std::uint64_t blocks = base::ceil_div(elements, spec.block_size);
  std::vector<LayerTensor> tensors{
      {Role::codes, weight.name, Dtype::U8, {stored_elements(elements, spec.block_size) / 2, 1}, {}},
      {Role::scales, joined(weight.name, kAbsmaxSuffix), spec.double_quant ? Dtype::U8 : Dtype::F32, {blocks}, {}},
      {Role::constant, joined(weight.name, kQuantMapSuffix), Dtype::F32, {16}, table_bytes(layout_.level)},
      {spec.double_quant ? Role::nested_state : Role::constant,
       fmt::format("{}{}{}", weight.name, kQuantStateSuffix, layout_.type),
       Dtype::U8,
       {state_bytes},
       std::move(state)}};
  if (spec.double_quant) {
    const auto levels = std::as_bytes(std::span(dynamic_levels()));
    tensors.push_back(
        {Role::nested_scales, joined(weight.name, kNestedAbsmaxSuffix), Dtype::F32, {base::ceil_div(blocks, kNestedBlock)}, {}});
    tensors.push_back({Role::constant,
                       joined(weight.name, kNestedQuantMapSuffix),
                       Dtype::F32,
                       {kNestedLevels},
                       std::string(reinterpret_cast<const char*>(levels.data()), levels.size())});
  }
  return tensors;
}

std::string CodebookFormat::nested_contradiction(const StoredLayer& layer, std::uint64_t blocks) const {
  if (layer.nested_block != kNestedBlock || !layer.nested_offset) {
    return fmt::format("{} expects a 'nested_blocksize' of {} and a 'nested_offset' in its JSON", name(), kNestedBlock);
  }
  std::string found = contradiction(*this, layer, kNestedAbsmaxSuffix, Dtype::F32, {{base::ceil_div(blocks, kNestedBlock)}});
  return found.empty() ? contradiction(*this, layer, kNestedQuantMapSuffix, Dtype::F32, {{kNestedLevels}}) : found;
}

LayerReading CodebookFormat::recognise(const StoredLayer& layer) const {
  if (layer.comfy_format != fmt::format("{}_{}", layout_.bitsandbytes ? "bitsandbytes" : "bnb", layout_.type)) return {};
  const bool nested = layer.companion(kNestedAbsmaxSuffix) != nullptr;
  if (nested && !layout_.bitsandbytes) return {{}, fmt::format("{} expects no '{}'", name(), kNestedAbsmaxSuffix)};
  if (!layer.shape || layer.group_size == 0 || layer.group_size % 2 != 0) {
    return {{}, fmt::format("{} expects a 'shape' and a 'blocksize' in its JSON", name())};
  }
  // Readers hold a block in memory.
  if (layer.group_size > codebook_block_sizes().back()) {
    return {{}, fmt::format("{} expects a 'blocksize' of at most {}, not {}", name(), codebook_block_sizes().back(), layer.group_size)};
  }
  const std::uint64_t elements = element_count(*layer.shape);
  const std::uint64_t bytes = stored_elements(elements, layer.group_size) / 2;
  const std::uint64_t blocks = base::ceil_div(elements, layer.group_size);
  std::string found = contradiction(*this, layer, "", Dtype::U8, {{bytes, 1}, {bytes}, {1, bytes}});
  if (found.empty()) found = contradiction(*this, layer, kAbsmaxSuffix, nested ? Dtype::U8 : Dtype::F32, {{blocks}});
  if (found.empty() && nested) found = nested_contradiction(layer, blocks);
  if (!found.empty()) return {{}, std::move(found)};
  StoredSpec stored{.spec = {.format = this, .block_size = layer.group_size, .double_quant = nested}, .shape = *layer.shape};
  stored.scales = layer.companion(kAbsmaxSuffix);
  if (nested) {
    stored.nested_scales = layer.companion(kNestedAbsmaxSuffix);
    stored.nested_levels = layer.companion(kNestedQuantMapSuffix);
    stored.nested_offset = *layer.nested_offset;
  }
  return {std::move(stored), {}};
}

}  // namespace halftone::formats
