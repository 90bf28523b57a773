#include "verify/comfyui.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/layer_names.hpp"
#include "formats/loader_limits.hpp"
#include "formats/quantization_metadata.hpp"
#include "verify/layers.hpp"

namespace halftone::verify {
namespace {

using formats::QuantizedLayer;

/// The element types that its reader of mapped files lacks; one tensor of them keeps the file from loading.
bool is_unread(Dtype dtype) {
  switch (dtype) {
    case Dtype::F4:
    case Dtype::F6_E2M3:
    case Dtype::F6_E3M2:
    case Dtype::F8_E8M0:
    case Dtype::F8_E4M3FNUZ:
    case Dtype::F8_E5M2FNUZ: return true;
    default: return false;
  }
}

void check_types(const Contents& contents, Findings& findings) {
  for (const ModelTensor& tensor : contents.model.tensors()) {
    if (!is_unread(tensor.info.dtype)) continue;
    findings.problem(tensor.info.name, fmt::format("ComfyUI reads no tensors of {}", name_of(tensor.info.dtype)));
  }
}

/// The header's descriptions win, so they must mean what the labels mean.
void check_header(const Contents& contents, Findings& findings) {
  const auto entry = contents.model.metadata().find(formats::kMetadataKey);
  if (entry == contents.model.metadata().end()) return;
  if (!formats::has_layers(entry->second)) {
    findings.problem("", fmt::format("'{}' in the header has no object 'layers', and ComfyUI fails on such a file", formats::kMetadataKey));
  }
  for (const auto& [base, header] : contents.of_header) {
    const auto label = contents.of_tensors.find(base);
    if (label == contents.of_tensors.end()) continue;
    if (formats::mean_the_same(header, label->second)) continue;
    findings.problem(
        base, fmt::format("'{}' in the header says something else than its label, and ComfyUI follows the header", formats::kMetadataKey));
  }
}

/// Whether a marker makes ComfyUI convert the layer `base` of the older layout; `in_full` where it then
/// multiplies in full precision.
bool is_marked(const Contents& contents, const std::string& base, bool& in_full) {
  for (const ModelTensor& tensor : contents.model.tensors()) {
    const std::string& name = tensor.info.name;
    if (!formats::is_legacy_marker(name) || !name.ends_with(formats::kLegacyFormat)) continue;
    if (!base.starts_with(name.substr(0, name.size() - formats::kLegacyFormat.size()))) continue;
    in_full = element_count(tensor.info.shape) == 2;
    return true;
  }
  return false;
}

/// A layer with a `.scale_weight`, which ComfyUI turns into `float8_e4m3fn` while it loads.
void check_legacy(const Contents& contents, const QuantizedLayer& layer, bool& in_full, Findings& findings) {
  if (contents.model.metadata().count(formats::kMetadataKey) != 0) {
    findings.problem(
        layer.base, fmt::format("is of the older layout, which ComfyUI does not convert beside '{}' in the header", formats::kMetadataKey));
  } else if (!is_marked(contents, layer.base, in_full)) {
    findings.problem(layer.base, fmt::format("has a '{}', which ComfyUI reads only where a tensor '{}' marks the file",
                                             formats::kLegacyScaleSuffix, formats::kLegacyFormat));
  }
  if (layer.weight->info.dtype == Dtype::F8_E5M2)
    findings.problem(layer.base, "holds E5M2 in the older layout, which ComfyUI reads as E4M3");
  for (const std::string_view suffix : {formats::kLegacyScaleSuffix, formats::kLegacyInputScaleSuffix}) {
    const ModelTensor* scale = contents.tensor(layer.base, suffix);
    if (scale == nullptr || element_count(scale->info.shape) == 1) continue;
    findings.problem(layer.base,
                     fmt::format("its '{}' is {}, and ComfyUI takes one number in the older layout", suffix, to_string(scale->info.shape)));
  }
}

/// ComfyUI broadcasts scales as they lie, so that each must have the shape in which the format writes it.
void check_scale_shape(const QuantizedLayer& layer, Findings& findings) {
  for (const LayerTensor& tensor : expected_tensors(layer)) {
    if (tensor.role != Role::scales || layer.readable->scales == nullptr) continue;
    const Shape& stored = layer.readable->scales->info.shape;
    const bool one = element_count(stored) == 1 && tensor.shape.empty();
    if (one || stored == tensor.shape) continue;
    findings.problem(layer.base,
                     fmt::format("its '{}' is {}, and ComfyUI needs {}", tensor.name, to_string(stored), to_string(tensor.shape)));
  }
}

void check_input_scale(const Contents& contents, const QuantizedLayer& layer, Findings& findings) {
  const FormatDescriptor& format = *layer.readable->spec.format;
  if (!format.facts().takes_input_scale && !format.storage().two_level) return;  // not read
  const ModelTensor* scale = contents.tensor(layer.base, formats::kInputScaleSuffix);
  if (scale == nullptr || (scale->info.dtype == Dtype::F32 && element_count(scale->info.shape) == 1)) return;
  findings.problem(layer.base, fmt::format("its '{}' is {} {}, and ComfyUI takes one F32", formats::kInputScaleSuffix,
                                           name_of(scale->info.dtype), to_string(scale->info.shape)));
}

void check_layer(const Contents& contents, const QuantizedLayer& layer, Findings& findings) {
  bool in_full = false;
  const bool legacy = Contents::is_legacy(layer);
  if (legacy) check_legacy(contents, layer, in_full, findings);
  if (layer.format_text == formats::kLegacyInt8Format) {
    findings.problem(layer.base, "is INT8 without a description, which ComfyUI does not read; halftone migrate describes it");
  }
  if (!layer.readable) return;
  const FormatDescriptor& format = *layer.readable->spec.format;
  if (format.facts().needs_custom_node && !legacy) {
    findings.problem(layer.base,
                     fmt::format("is stored as {}, which is loaded by {}, not by ComfyUI alone", format.name(), format.facts().loaders));
    return;
  }
  check_scale_shape(layer, findings);
  check_input_scale(contents, layer, findings);
  in_full = in_full || layer.readable->spec.full_precision_mm;
  if (!in_full && !formats::product_takes(format, layer.readable->shape)) {
    findings.problem(layer.base, fmt::format("{} is not divisible by {}: it loads, and ComfyUI's {} product fails on it",
                                             to_string(layer.readable->shape), format.facts().matmul_alignment, format.name()));
  }
}

/// "linear_dtype" chooses the product of w4a4 layers.
void check_product_types(const Contents& contents, Findings& findings) {
  for (const auto* declared : {&contents.of_tensors, &contents.of_header}) {
    for (const auto& [base, facts] : *declared) {
      if (facts.linear_dtype.empty() || facts.linear_dtype == "int4" || facts.linear_dtype == "int8") continue;
      findings.problem(base, fmt::format("its 'linear_dtype' is '{}', and ComfyUI takes int4 or int8", facts.linear_dtype));
    }
  }
}

/// A shape with both sides filled up to multiples of `padding`.
Shape padded(const Shape& shape, std::uint64_t padding) { return {base::round_up(shape[0], padding), base::round_up(shape[1], padding)}; }

void note_slow_layer(const QuantizedLayer& layer, Findings& findings) {
  const QuantSpec& spec = layer.readable->spec;
  const FormatFacts& facts = spec.format->facts();
  const Shape& shape = layer.readable->shape;
  if (spec.full_precision_mm) {
    findings.note(layer.base, "is dequantized before each product: its label asks for full precision");
  }
  if (facts.tuned_rotation_group != 0 && spec.rotation_group != facts.tuned_rotation_group) {
    findings.note(layer.base, fmt::format("runs slowly: it is rotated in groups of {}, and the GPU kernels are made for {}",
                                          spec.rotation_group, facts.tuned_rotation_group));
  }
  if (shape.size() == 2 && padded(shape, facts.storage.padding) != shape) {
    findings.note(layer.base, fmt::format("{} is not divisible by {}: each product is filled up to {} and cut again", to_string(shape),
                                          facts.storage.padding, to_string(padded(shape, facts.storage.padding))));
  }
}

}  // namespace

void check_comfyui(const Contents& contents, Findings& findings) {
  check_types(contents, findings);
  check_header(contents, findings);
  check_product_types(contents, findings);
  for (const QuantizedLayer& layer : contents.layers) check_layer(contents, layer, findings);
}

void note_slow_layers(const Contents& contents, Findings& findings) {
  for (const FormatDescriptor* format : all_formats()) {
    const auto n =
        static_cast<std::uint64_t>(std::count_if(contents.layers.begin(), contents.layers.end(), [&](const QuantizedLayer& layer) {
          return layer.readable && layer.readable->spec.format == format;
        }));
    if (n == 0 || format->facts().fast_on.empty()) continue;
    findings.note("", fmt::format("{} in {}: fast on {}, slow on others, where ComfyUI emulates the format", base::counted(n, "layer"),
                                  format->name(), format->facts().fast_on));
  }
  for (const QuantizedLayer& layer : contents.layers) {
    if (layer.readable && !layer.readable->spec.format->facts().needs_custom_node) note_slow_layer(layer, findings);
  }
}

}  // namespace halftone::verify
