#include "verify/labels.hpp"

#include <algorithm>
#include <array>
#include <span>

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/strict_json.hpp"
#include "formats/layer_names.hpp"

namespace halftone::verify {
namespace {

using nlohmann::ordered_json;

/// What ComfyUI and convert_to_quant write into the label of a layer.  Older files nest sizes in `params`.
constexpr std::array<std::string_view, 12> kLabelKeys = {
    "format",       "group_size",  "full_precision_matrix_mult", "convrot", "convrot_groupsize", "per_row", "orig_dtype", "orig_shape",
    "linear_dtype", "num_experts", "input_scale_calibrated",     "params"};
/// What bitsandbytes knows in the description of an NF4 or FP4 layer; it refuses any other key.
constexpr std::array<std::string_view, 7> kStateKeys = {"quant_type",       "blocksize",    "dtype",        "shape",
                                                        "nested_blocksize", "nested_dtype", "nested_offset"};

void check_keys(const std::string& base, const ordered_json& json, std::span<const std::string_view> known, Findings& findings) {
  if (!json.is_object()) return;  // a broken text, which is a finding already
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      findings.problem(base, fmt::format("its quantization JSON has a key '{}' that no loader knows", key));
    }
    if (key == "params" && value.is_object()) check_keys(base, value, known, findings);
  }
}

/// The JSON of a text that was found to be well-formed before; null for any other.
ordered_json parsed(const std::string& text) {
  try {
    return base::parse_json<ordered_json>(text, ErrorKind::bad_quantization, "");
  } catch (const Error&) {
    return nullptr;
  }
}

void check_header_keys(const Contents& contents, Findings& findings) {
  const auto entry = contents.model.metadata().find(formats::kMetadataKey);
  if (entry == contents.model.metadata().end()) return;
  const ordered_json header = parsed(entry->second);
  if (!header.is_object() || !header.contains("layers") || !header["layers"].is_object()) return;
  for (const auto& [base, layer] : header["layers"].items()) check_keys(base, layer, kLabelKeys, findings);
}

}  // namespace

void check_labels(const Contents& contents, Findings& findings) {
  for (const auto& [name, text] : contents.texts) {
    const std::size_t state = name.find(formats::kQuantStateSuffix);
    const bool codebook = state != std::string::npos;
    const std::string base = codebook ? formats::base_name(name.substr(0, state)) : formats::base_name(name, formats::kSidecarSuffix);
    if (contents.tensor(base, formats::kWeightSuffix) == nullptr) {
      findings.problem(base, fmt::format("'{}' describes a layer without a weight", name));
    }
    const TensorInfo& info = contents.model.find(name)->info;
    if (info.dtype != Dtype::U8 || info.shape.size() != 1) {
      findings.problem(base,
                       fmt::format("'{}' is {} {}, and a text is U8 of one dimension", name, name_of(info.dtype), to_string(info.shape)));
    }
    check_keys(base, parsed(text), codebook ? std::span<const std::string_view>(kStateKeys) : kLabelKeys, findings);
  }
  check_header_keys(contents, findings);
  for (const auto& [base, facts] : contents.of_header) {
    if (contents.tensor(base, formats::kWeightSuffix) != nullptr || contents.of_tensors.count(base) != 0) continue;
    findings.problem(base, fmt::format("'{}' in the header describes a layer without a weight", formats::kMetadataKey));
  }
}

}  // namespace halftone::verify
