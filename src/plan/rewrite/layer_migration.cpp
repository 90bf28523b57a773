#include "plan/rewrite/layer_migration.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/fail.hpp"
#include "formats/float_types.hpp"
#include "formats/layer_label.hpp"
#include "formats/layer_names.hpp"
#include "formats/layer_tensors.hpp"
#include "formats/python_json.hpp"
#include "formats/recoding.hpp"
#include "formats/stored_facts.hpp"

namespace halftone::plan {
namespace {

using nlohmann::ordered_json;

/// Whether the marker of an older layout that is nearest above `base` asks to multiply in full precision: its two
/// elements say so, whatever they are.
bool marker_wants_full_precision(const ModelIndex& model, const std::string& base) {
  const ModelTensor* nearest = nullptr;
  for (const ModelTensor& tensor : model.tensors()) {
    const std::string& name = tensor.info.name;
    if (!formats::is_legacy_marker(name) || !formats::has_suffix(name, formats::kLegacyFormat)) continue;
    const bool above = base.starts_with(name.substr(0, name.size() - formats::kLegacyFormat.size()));
    if (above && (nearest == nullptr || name.size() > nearest->info.name.size())) nearest = &tensor;
  }
  return nearest != nullptr && element_count(nearest->info.shape) == 2;
}

/// The type that a codebook layer's JSON names as that of the weight.
Dtype dtype_of_state(const std::string& text, const std::string& base) {
  const ordered_json state = formats::parse_label(text, base);
  const auto found = state.find("dtype");
  if (found != state.end() && found->is_string()) {
    if (const auto dtype = formats::float_from_torch_name(found->get<std::string>())) return *dtype;
  }
  fail(ErrorKind::bad_quantization, "the quantization JSON of the layer '{}' names no 'dtype' that a weight could have", base);
}

std::string quoted(std::string_view suffix) { return fmt::format("'{}'", suffix.substr(1)); }

}  // namespace

/// A layer while it is migrated.
struct LayerMigration::Layer {
  const formats::QuantizedLayer& stored;
  std::optional<ordered_json> label;  ///< of the output
  bool label_changed = false;         ///< or is missing in the input
  const FormatDescriptor* format;     ///< of the output; null where it is not known
  std::vector<std::string> done;      ///< for people

  [[nodiscard]] std::string name(std::string_view suffix) const { return formats::joined(stored.base, suffix); }
  [[nodiscard]] const std::string& weight() const { return stored.weight->info.name; }
  [[nodiscard]] bool has(const ModelIndex& model, std::string_view suffix) const { return model.find(name(suffix)) != nullptr; }
};

void LayerMigration::migrate(const formats::QuantizedLayer& stored) {
  if (!stored.contradiction.empty()) stored.require_readable();
  Layer layer{stored, {}, false, stored.readable ? stored.readable->spec.format : nullptr, {}};
  const auto text = texts_.find(layer.name(formats::kSidecarSuffix));
  if (text != texts_.end()) {
    layer.label = formats::parse_label(text->second, stored.base);
  } else if (const ordered_json* entry = header_.find(stored.base)) {
    layer.label = *entry;
    layer.label_changed = true;
    layer.done.emplace_back("gets the label that only the header had");
  }
  if (formats::is_legacy_format(stored.format_text)) modernise(layer);
  change_input_scale(layer);
  change_hybrid(layer);
  change_container(layer);
  write_labels(layer);
  if (!layer.done.empty()) rewrite_.change(stored.base, fmt::format("{}", fmt::join(layer.done, "; ")));
  formats_.push_back(layer.format);
}

void LayerMigration::modernise(Layer& layer) {
  const formats::QuantizedLayer& stored = layer.stored;
  stored.require_readable();
  QuantSpec spec = stored.readable->spec;
  spec.full_precision_mm = stored.format_text == formats::kLegacyFormat && marker_wants_full_precision(model_, stored.base);
  const TensorInfo weight{.name = layer.weight(), .dtype = stored.weight->info.dtype, .shape = stored.readable->shape};
  for (const LayerTensor& out : spec.format->outputs(weight, spec)) {
    const ModelTensor* scales = out.role == Role::tensor_scale ? stored.readable->tensor_scale : stored.readable->scales;
    if (scales == nullptr || (out.role != Role::scales && out.role != Role::tensor_scale)) continue;
    Fate& fate = rewrite_.of(scales->info.name);
    fate.name = out.name;
    fate.shape = out.shape;
    fate.reason = "is called '" + out.name + "' in the output";
  }
  layer.label = formats::parse_label(spec.format->sidecar_json(weight, spec), stored.base);
  layer.label_changed = true;
  layer.done.push_back(fmt::format("{} becomes {} with a label", stored.format_text, spec.format->name()));
  const std::string input_scale = layer.name(formats::kLegacyInputScaleSuffix);
  if (const ModelTensor* tensor = model_.find(input_scale)) {
    Fate& fate = rewrite_.of(input_scale);
    fate.name = layer.name(formats::kInputScaleSuffix);
    fate.shape = formats::squeezed(tensor->info.shape);
    fate.reason = "is called '" + fate.name + "' in the output";
    layer.done.push_back(fmt::format("{} is called {}", quoted(formats::kLegacyInputScaleSuffix), quoted(formats::kInputScaleSuffix)));
  }
  const std::string misplaced = formats::joined(layer.weight(), formats::kSidecarSuffix);
  if (model_.find(misplaced) != nullptr) {
    rewrite_.drop(misplaced, "is a label under a name that no loader asks for");
    layer.done.emplace_back("a label under the name of the weight is left out");
  }
}

void LayerMigration::change_input_scale(Layer& layer) {
  if (!options_.input_scale) return;
  const std::vector<std::string> names = {layer.name(formats::kInputScaleSuffix), layer.name(formats::kLegacyInputScaleSuffix)};
  if (*options_.input_scale == Presence::remove) {
    for (const std::string& name : names) {
      if (model_.find(name) == nullptr) continue;
      rewrite_.drop(name, "an activation scale that is not wanted");
      layer.done.push_back(fmt::format("{} is left out", quoted(std::string_view(name).substr(layer.stored.base.size()))));
    }
    return;
  }
  const bool there = std::any_of(names.begin(), names.end(), [&](const std::string& name) { return model_.find(name) != nullptr; });
  if (there || layer.format == nullptr || !layer.format->facts().takes_input_scale) return;
  std::vector<LayerTensor> tensors;
  formats::add_input_scale(tensors, layer.stored.base);
  for (LayerTensor& tensor : tensors) {
    rewrite_.add(layer.weight(), {.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape}, std::move(tensor.bytes));
  }
  layer.done.push_back(fmt::format("{} of 1 is added", quoted(formats::kInputScaleSuffix)));
}

void LayerMigration::change_hybrid(Layer& layer) {
  if (!options_.hybrid || layer.format == nullptr) return;
  const FormatDescriptor& plain = format_named("mxfp8");
  const FormatDescriptor& hybrid = format_named("mxfp8-hybrid");
  const bool add = *options_.hybrid == Presence::add;
  if (layer.format != (add ? &plain : &hybrid)) return;
  const FormatDescriptor& target = add ? hybrid : plain;
  const std::string largest = layer.name(formats::kLargestScaleSuffix);
  if (add) {
    rewrite_.add(layer.weight(), {.name = largest, .dtype = Dtype::F32},
                 Job{.kind = JobKind::largest_scale, .spec = {.format = &hybrid}, .inputs = {*layer.stored.readable->scales}});
  } else if (model_.find(largest) != nullptr) {
    rewrite_.drop(largest, "repeats the largest scale");
  }
  (*layer.label)["format"] = target.facts().comfy_format;
  layer.label_changed = true;
  if (const ordered_json* entry = header_.find(layer.stored.base)) {
    ordered_json label = *entry;
    label["format"] = target.facts().comfy_format;
    header_.set(layer.stored.base, std::move(label));
  }
  layer.done.push_back(fmt::format("{} becomes {}", layer.format->name(), target.name()));
  layer.format = &target;
}

void LayerMigration::change_container(Layer& layer) {
  if (!options_.container || layer.format == nullptr) return;
  const FormatDescriptor* target = formats::in_layout(*layer.format, *options_.container == Container::bnb);
  if (target == nullptr || target == layer.format) return;
  const formats::ReadableLayer& readable = *layer.stored.readable;
  const auto state = std::find_if(layer.stored.companions.begin(), layer.stored.companions.end(),
                                  [](const std::string& name) { return name.find(formats::kQuantStateSuffix) != std::string::npos; });
  if (state == layer.stored.companions.end()) {
    fail(ErrorKind::bad_quantization, "the layer '{}' is described as {}, but has no tensor '{}…' that says so", layer.stored.base,
         layer.stored.format_text, formats::joined(layer.weight(), formats::kQuantStateSuffix));
  }
  const TensorInfo weight{layer.weight(), dtype_of_state(texts_.at(*state), layer.stored.base), readable.shape};
  const QuantSpec spec{.format = target, .block_size = readable.spec.block_size};
  if (readable.spec.double_quant) unnest(layer);
  for (LayerTensor& out : target->outputs(weight, spec)) {
    if (out.role == Role::scales) continue;
    if (out.role == Role::constant && model_.find(out.name) == nullptr) {
      rewrite_.add(layer.weight(), {.name = out.name, .dtype = out.dtype, .shape = out.shape}, std::move(out.bytes));
      continue;
    }
    Fate& fate = rewrite_.of(out.name);
    fate.dtype = out.dtype;
    fate.shape = out.shape;
    fate.reason = fmt::format("is written as {} has it", target->name());
    if (out.role == Role::constant) {
      fate.bytes = std::move(out.bytes);
    } else {
      fate.job = Job{.kind = JobKind::recode,
                     .spec = spec,
                     .inputs = {*layer.stored.weight},
                     .stored = StoredWeight{readable.spec, readable.shape, {Role::codes}}};
    }
  }
  layer.done.push_back(fmt::format("{} becomes {}", layer.format->name(), target->name()));
  layer.format = target;
}

/// The F32 scales that readers of a double-quantized layer compute: its codes mean what they meant.
void LayerMigration::unnest(Layer& layer) {
  const formats::ReadableLayer& readable = *layer.stored.readable;
  const std::string& scales = readable.scales->info.name;
  Fate& fate = rewrite_.of(scales);
  fate.dtype = Dtype::F32;
  fate.reason = "holds the scales as readers compute them";
  fate.job = Job{.kind = JobKind::unnest,
                 .inputs = {*readable.scales, *readable.nested_scales, *readable.nested_levels},
                 .stored = StoredWeight{readable.spec, readable.shape, {Role::scales, Role::nested_scales, Role::nested_levels}}};
  fate.job->stored->nested_offset = readable.nested_offset;
  for (const ModelTensor* tensor : {readable.nested_scales, readable.nested_levels}) {
    rewrite_.drop(tensor->info.name, "belongs to scales that are quantized themselves");
  }
  layer.done.push_back(fmt::format("{} becomes F32, as readers compute it", quoted(formats::kAbsmaxSuffix)));
}

void LayerMigration::write_labels(Layer& layer) {
  if (!layer.label) return;
  if (formats::flatten_params(*layer.label)) {
    layer.label_changed = true;
    layer.done.emplace_back("what its label nests in 'params' stands beside its format");
  }
  if (const ordered_json* entry = header_.find(layer.stored.base)) {
    ordered_json label = *entry;
    if (formats::flatten_params(label)) header_.set(layer.stored.base, std::move(label));
  }
  if (!layer.label_changed) return;
  std::string text = formats::python_dump(*layer.label);
  const std::string name = layer.name(formats::kSidecarSuffix);
  if (model_.find(name) == nullptr) {
    const std::uint64_t n_bytes = text.size();
    rewrite_.add(layer.weight(), {.name = name, .dtype = Dtype::U8, .shape = {n_bytes}}, std::move(text));
    return;
  }
  rewrite_.replace(name, std::move(text), "describes the layer as it is in the output");
}

}  // namespace halftone::plan
