#include <algorithm>

#include <halftone/edit.hpp>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/layer_label.hpp"
#include "formats/layer_names.hpp"
#include "formats/python_json.hpp"
#include "formats/quantization_metadata.hpp"
#include "plan/patterns.hpp"
#include "plan/rewrite/renames.hpp"
#include "plan/rewrite/same_layers.hpp"

namespace halftone {
namespace {

using formats::QuantizedLayer;

void require_something(const EditOptions& options) {
  const bool any = !options.set_metadata.empty() || !options.remove_metadata.empty() || !options.drop.empty() ||
                   !options.strip_prefix.empty() || !options.rename.empty() || !options.add_prefix.empty() ||
                   !options.full_precision_mm.empty() || !options.no_full_precision_mm.empty();
  if (!any) fail(ErrorKind::usage, "no change was asked for");
}

/// The input, without a `_quantization_metadata` that is to be removed and that no loader understands.
ModelIndex understood(const ModelIndex& model, const EditOptions& options) {
  const auto entry = model.metadata().find(formats::kMetadataKey);
  const auto& removed = options.remove_metadata;
  const bool useless = entry != model.metadata().end() && !formats::has_layers(entry->second);
  if (!useless || std::find(removed.begin(), removed.end(), formats::kMetadataKey) == removed.end()) return model;
  return plan::without_metadata(model, formats::kMetadataKey);
}

/// Sets or clears the flag in the label of a layer and in its label in the header; false where it has neither.
bool set_flag(plan::Rewrite& rewrite, formats::HeaderLabels& header, const SideTexts& texts, const QuantizedLayer& layer, bool wanted) {
  const auto text = texts.find(formats::joined(layer.base, formats::kSidecarSuffix));
  const auto* entry = header.find(layer.base);
  if (text == texts.end() && entry == nullptr) return false;
  bool changed = false;
  if (text != texts.end()) {
    auto label = formats::parse_label(text->second, layer.base);
    if (formats::set_full_precision(label, wanted)) {
      const std::string renamed = rewrite.of(text->first).reason;
      rewrite.replace(text->first, formats::python_dump(label), renamed.empty() ? "its flag is changed" : renamed);
      changed = true;
    }
  }
  if (entry != nullptr) {
    auto label = *entry;
    if (formats::set_full_precision(label, wanted)) {
      header.set(layer.base, std::move(label));
      changed = true;
    }
  }
  if (changed) rewrite.change(layer.base, wanted ? "is multiplied in full precision" : "is no longer multiplied in full precision");
  return true;
}

/// Sets and clears the flags that the options ask for; returns how many layers have no label to hold one.
std::size_t set_flags(plan::Rewrite& rewrite, formats::HeaderLabels& header, const SideTexts& texts,
                      const std::vector<QuantizedLayer>& layers, const EditOptions& options) {
  plan::Patterns set(options.full_precision_mm, "--full-precision-mm");
  plan::Patterns clear(options.no_full_precision_mm, "--no-full-precision-mm");
  std::size_t unlabelled = 0;
  for (const QuantizedLayer& layer : layers) {
    const std::string& weight = layer.weight->info.name;
    if (rewrite.of(weight).dropped) continue;
    const bool wanted = set.match(weight);
    const bool unwanted = clear.match(weight);
    if (wanted && unwanted) {
      fail(ErrorKind::usage, "--full-precision-mm and --no-full-precision-mm both match the layer '{}'", weight);
    }
    if ((wanted || unwanted) && !set_flag(rewrite, header, texts, layer, wanted)) ++unlabelled;
  }
  set.require_used("quantized layer");
  clear.require_used("quantized layer");
  return unlabelled;
}

void list_names(plan::Rewrite& rewrite, const ModelIndex& model) {
  for (const ModelTensor& tensor : model.tensors()) {
    const plan::Fate& fate = rewrite.of(tensor.info.name);
    if (fate.dropped) rewrite.change(tensor.info.name, fate.reason);
    if (!fate.dropped && fate.name != tensor.info.name) rewrite.change(tensor.info.name, fate.reason);
  }
}

/// Changes the metadata as the options ask.
void edit_metadata(plan::Rewrite& rewrite, Metadata& metadata, const Metadata& given, const EditOptions& options) {
  for (const std::string& key : options.remove_metadata) {
    std::vector<std::string> known;
    for (const auto& [name, value] : given) known.push_back(name);
    if (given.find(key) == given.end()) {
      fail(ErrorKind::unused_rule, "--remove-metadata: the input has no metadata '{}'{}", key, base::did_you_mean(key, known));
    }
    metadata.erase(key);
    rewrite.change("metadata", fmt::format("'{}' is removed", key));
  }
  for (const auto& [key, value] : options.set_metadata) {
    if (key == formats::kMetadataKey) {
      fail(ErrorKind::usage, "--set-metadata: '{}' follows the labels of the layers and cannot be set", key);
    }
    if (std::find(options.remove_metadata.begin(), options.remove_metadata.end(), key) != options.remove_metadata.end()) {
      fail(ErrorKind::usage, "the metadata '{}' is to be set and to be removed", key);
    }
    if (key.empty() || !base::is_utf8(key) || !base::is_utf8(value)) {
      fail(ErrorKind::usage, "--set-metadata takes KEY=VALUE in UTF-8, with a key");
    }
    metadata[key] = value;
    rewrite.change("metadata", fmt::format("'{}' is set", key));
  }
}

}  // namespace

Plan build_edit_plan(const ModelIndex& given, const SideTexts& texts, const EditOptions& options) {
  require_something(options);
  const ModelIndex model = understood(given, options);
  const auto layers = formats::find_quantized_layers(model, texts);
  plan::Rewrite rewrite(model, "edit");
  plan::rename_tensors(rewrite, model, options);
  plan::keep_layers_whole(rewrite, model, layers);
  plan::keep_strangers_apart(rewrite, model);
  formats::HeaderLabels header(model.metadata());
  list_names(rewrite, model);
  const std::size_t unlabelled = set_flags(rewrite, header, texts, layers, options);
  const auto names = plan::renamed_layers(rewrite, model);
  header.rename(names);
  Metadata metadata = model.metadata();
  header.store(metadata);
  edit_metadata(rewrite, metadata, given.metadata(), options);
  const SideTexts written = rewrite.texts(texts);
  const bool has_metadata = model.has_metadata() || !metadata.empty();
  Plan plan = std::move(rewrite).finish(std::move(metadata), has_metadata);
  plan::require_same_layers(layers, names, plan.output, written);
  plan.input_digest = given.digest();
  if (plan.changes.empty()) plan.notes.emplace_back("nothing differs from the input");
  if (unlabelled > 0) {
    plan.notes.push_back(fmt::format("{} without a label, which the flag would stand in", base::counted(unlabelled, "layer")));
  }
  return plan;
}

}  // namespace halftone
