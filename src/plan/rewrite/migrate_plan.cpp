#include <algorithm>
#include <unordered_set>

#include <halftone/migrate.hpp>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "formats/layer_names.hpp"
#include "formats/quantization_metadata.hpp"
#include "formats/recoding.hpp"
#include "formats/stored_facts.hpp"
#include "plan/rewrite/layer_migration.hpp"

namespace halftone {
namespace {

using formats::QuantizedLayer;

/// Throws usage for an option that no layer of the input heeds.
void check_options(const std::vector<QuantizedLayer>& layers, const MigrateOptions& options) {
  const auto any = [&](const auto& has) {
    return std::any_of(layers.begin(), layers.end(),
                       [&](const QuantizedLayer& layer) { return layer.readable && has(*layer.readable->spec.format); });
  };
  const bool add_scales = options.input_scale && *options.input_scale == Presence::add;
  if (add_scales && !any([](const auto& format) { return format.facts().takes_input_scale; })) {
    fail(ErrorKind::usage, "--input-scale add has no effect: no layer is in a format that takes one");
  }
  if (options.hybrid && !any([](const auto& format) { return format.name() == "mxfp8" || format.name() == "mxfp8-hybrid"; })) {
    fail(ErrorKind::usage, "--hybrid has no effect: no layer is stored as mxfp8 or mxfp8-hybrid");
  }
  if (options.container && !any([](const auto& format) { return formats::in_layout(format, true) != nullptr; })) {
    fail(ErrorKind::usage, "--container has no effect: no layer is stored as nf4 or fp4");
  }
}

/// Throws bad_quantization for a layer of which the header and its own label tell different things: loaders that heed one
/// or the other would read different weights, and neither is known to be right.
void check_descriptions(const ModelIndex& model, const SideTexts& texts) {
  const formats::FactsByLayer labels = formats::facts_of_tensors(texts);
  for (const auto& [base, header] : formats::facts_of_header(model)) {
    const auto label = labels.find(base);
    if (label == labels.end() || formats::mean_the_same(header, label->second)) continue;
    const std::string& said = label->second.format;
    fail(ErrorKind::bad_quantization, "the layer '{}' is described as {} by '{}' in the header, and as {} by its own label", base,
         header.format, formats::kMetadataKey, said == header.format ? "the same with other values" : said);
  }
}

/// Leaves out the markers of older layouts, and their scales beside weights that are not quantized: loaders that
/// know these layouts would round such a weight.  Returns how many of their tensors belong to no weight and stay.
std::size_t drop_remains(plan::Rewrite& rewrite, const ModelIndex& model, const std::vector<QuantizedLayer>& layers,
                         const ScaleValues& scales) {
  std::unordered_set<std::string_view> bases;
  for (const QuantizedLayer& layer : layers) bases.insert(layer.base);
  std::size_t lost = 0;
  for (const ModelTensor& tensor : model.tensors()) {
    const std::string& name = tensor.info.name;
    // The number of its elements is all that a marker says.
    if (formats::is_legacy_marker(name)) {
      rewrite.drop(name, "marks an older layout");
      rewrite.change(name, "marks an older layout and is left out");
    }
    const bool scale = formats::has_suffix(name, formats::kLegacyScaleSuffix);
    if (!scale && !formats::has_suffix(name, formats::kLegacyInputScaleSuffix)) continue;
    const std::string base = formats::base_name(name, scale ? formats::kLegacyScaleSuffix : formats::kLegacyInputScaleSuffix);
    const ModelTensor* weight = model.find(formats::joined(base, formats::kWeightSuffix));
    if (bases.count(base) != 0) continue;
    if (weight == nullptr) {
      ++lost;
      continue;
    }
    const auto value = scales.find(name);
    if (scale && (value == scales.end() || value->second != 1.0F)) {
      fail(ErrorKind::bad_quantization, "the weight '{}' of {} is not quantized, and yet it has a scale '{}' {}", weight->info.name,
           name_of(weight->info.dtype), name, value == scales.end() ? "of several elements" : fmt::format("of {}", value->second));
    }
    rewrite.drop(name, "belongs to a weight that is not quantized");
    rewrite.change(base, fmt::format("is not quantized, and its '{}' is left out", name.substr(base.size() + 1)));
  }
  return lost;
}

/// Throws bad_quantization where a layer of the output would not be read as what it was made, because what describes it
/// contradicts itself.
void check_layers(const std::vector<QuantizedLayer>& layers, const std::vector<const FormatDescriptor*>& made, const Header& output,
                  const SideTexts& texts) {
  const ModelIndex model({{"the output", output}});
  const auto found = formats::find_quantized_layers(model, texts);
  const formats::StoredByWeight written(found);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const QuantizedLayer* after = written.find(layers[i].weight->info.name);
    const FormatDescriptor* format = after != nullptr && after->readable ? after->readable->spec.format : nullptr;
    if (format != made[i]) {
      fail(ErrorKind::bad_quantization, "the layer '{}' cannot be migrated, because its descriptions contradict each other",
           layers[i].base);
    }
  }
}

/// What is said of the layers that cannot be read and stay as they are; empty where there are none.
std::string said_of_unreadable(const std::vector<QuantizedLayer>& layers) {
  const auto unreadable = [](const QuantizedLayer& layer) { return !layer.readable; };
  const auto first = std::find_if(layers.begin(), layers.end(), unreadable);
  if (first == layers.end()) return {};
  const auto n = static_cast<std::size_t>(std::count_if(layers.begin(), layers.end(), unreadable));
  return fmt::format("the layer '{}' is stored as '{}', which cannot be read{}", first->base, first->format_text,
                     n == 1 ? "" : fmt::format(" (and {})", base::counted(n - 1, "more layer")));
}

std::vector<std::string> notes_for(const Plan& plan, const std::string& unreadable, const std::vector<const FormatDescriptor*>& before,
                                   const std::vector<const FormatDescriptor*>& after, std::size_t lost) {
  std::vector<std::string> notes;
  if (plan.up_to_date) notes.emplace_back("the input is up to date, and nothing is written");
  if (!unreadable.empty()) notes.push_back(unreadable + ": left as it is");
  const auto recoded = [&](const FormatDescriptor* from, const FormatDescriptor* to) {
    return from != to && from != nullptr && from->name().starts_with("fp4");
  };
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!recoded(before[i], after[i])) continue;
    notes.emplace_back("the two layouts of fp4 spell their smallest level differently in its last bits: 0.00520833 and 0.0052083335");
    break;
  }
  if (lost > 0)
    notes.push_back(fmt::format("{} of an older layout belong{} to no weight and stay{}", base::counted(lost, "tensor"),
                                lost == 1 ? "s" : "", lost == 1 ? "s" : ""));
  return notes;
}

}  // namespace

Plan build_migrate_plan(const ModelIndex& given, const SideTexts& texts, const ScaleValues& scales, const MigrateOptions& options) {
  const auto entry = given.metadata().find(formats::kMetadataKey);
  // An entry that is no JSON may have named layers: it is refused, not dropped.
  if (entry != given.metadata().end()) formats::check_metadata_json(entry->second);
  const bool useless = entry != given.metadata().end() && !formats::has_layers(entry->second);
  const ModelIndex model = useless ? plan::without_metadata(given, formats::kMetadataKey) : given;
  const auto layers = formats::find_quantized_layers(model, texts);
  check_descriptions(model, texts);
  check_options(layers, options);
  plan::Rewrite rewrite(model, "migrate");
  if (useless)
    rewrite.change("metadata", fmt::format("'{}' names no layers, and ComfyUI fails on it: it is left out", formats::kMetadataKey));
  formats::HeaderLabels header(model.metadata());
  plan::LayerMigration migration(rewrite, header, model, texts, options);
  std::vector<const FormatDescriptor*> before;
  for (const QuantizedLayer& layer : layers) {
    before.push_back(layer.readable ? layer.readable->spec.format : nullptr);
    migration.migrate(layer);
  }
  const std::size_t lost = drop_remains(rewrite, model, layers, scales);
  Metadata metadata = model.metadata();
  header.store(metadata);
  const SideTexts written = rewrite.texts(texts);
  const bool has_metadata = model.has_metadata();
  Plan plan = std::move(rewrite).finish(std::move(metadata), has_metadata);
  check_layers(layers, migration.formats(), plan.output, written);
  plan.input_digest = given.digest();
  plan.up_to_date = plan.changes.empty();
  const std::string unreadable = said_of_unreadable(layers);
  if (plan.up_to_date && !unreadable.empty()) {
    fail(ErrorKind::unsupported, "{}, and there is nothing to migrate in the rest of the model", unreadable);
  }
  plan.notes = notes_for(plan, unreadable, before, migration.formats(), lost);
  return plan;
}

}  // namespace halftone
