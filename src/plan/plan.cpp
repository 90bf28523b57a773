#include <halftone/plan.hpp>

#include <algorithm>

#include "base/fail.hpp"
#include "base/hash.hpp"
#include "formats/layer_names.hpp"
#include "formats/quant_spec.hpp"
#include "formats/quantization_metadata.hpp"
#include "formats/stored_layers.hpp"
#include "plan/layer_statistics.hpp"
#include "plan/learning.hpp"
#include "plan/option_checks.hpp"
#include "plan/plan_builder.hpp"
#include "plan/plan_notes.hpp"
#include "plan/rotation.hpp"
#include "plan/second_generation.hpp"
#include "plan/selection.hpp"
#include "plan/shards.hpp"

namespace halftone {
namespace {

/// The layers of the header's `_quantization_metadata`, in order of the weights' names.
formats::LayerTexts sidecars(const ModelIndex& model, const std::vector<Decision>& decisions, const formats::StoredByWeight& stored) {
  formats::LayerTexts texts;
  for (const Decision& decision : decisions) {
    if (decision.action != Action::quantize) continue;
    TensorInfo weight = model.find(decision.tensor)->info;
    if (const auto* layer = stored.find(decision.tensor)) {
      weight.dtype = Dtype::F32;
      weight.shape = layer->readable->shape;
    }
    std::string json = decision.spec.format->sidecar_json(weight, decision.spec);
    if (!json.empty()) texts.emplace_back(formats::base_name(decision.tensor), std::move(json));
  }
  return texts;
}

/// Removes a `_quantization_metadata` without layers, on which ComfyUI fails; the note, or "".
std::string without_broken_entry(Metadata& metadata, const PlanOptions& options) {
  const auto entry = metadata.find(formats::kMetadataKey);
  if (options.target != Target::comfyui || entry == metadata.end() || formats::has_layers(entry->second)) return {};
  metadata.erase(entry);
  return fmt::format("the metadata entry '{}' of the input names no layers, and ComfyUI fails on such a file: it is left out",
                     formats::kMetadataKey);
}

}  // namespace

Plan build_plan(const ModelIndex& model, const SideTexts& texts, const PlanOptions& given) {
  PlanOptions options = given;
  plan::check_options(options);
  plan::check_learn_options(options);
  if (options.spec.format != nullptr) {
    options.spec = formats::complete_spec(given.spec, {"--block-size", "--rotation-group", "--group-size"});
  }
  const plan::RuleSet rules = plan::collect_rules(model, options);
  plan::PlanBuilder builder(model);
  builder.plan().preset = rules.preset_name;
  builder.plan().preset_reason = rules.preset_reason;
  const auto layers = formats::find_quantized_layers(model, texts);
  const formats::StoredByWeight stored(layers);
  std::vector<Decision> decisions = plan::decide(model, stored, rules, options);
  const auto like_notes = rules.like ? rules.like->notes(decisions) : std::vector<std::string>();
  builder.set_learning(plan::Learning(model, options, decisions, stored));
  const auto statistics_note = options.statistics ? plan::check_kind(*options.statistics) : std::nullopt;
  if (options.statistics) builder.plan().statistics_digest = options.statistics->index.digest();
  const plan::SecondGeneration again = plan::add_all(model, builder, decisions, stored);
  Metadata metadata = model.metadata();
  formats::remove_layers(metadata, again.layers);
  const std::string note = without_broken_entry(metadata, options);
  if (options.quant_metadata) formats::add_quantization_metadata(metadata, sidecars(model, decisions, stored));
  Plan plan = builder.finish(std::move(metadata), model.has_metadata() || options.quant_metadata, std::move(decisions));
  plan.learns = options.learn.has_value();
  plan.notes = plan::notes_for(plan, options);
  plan.notes.insert(plan.notes.end(), rules.notes.begin(), rules.notes.end());
  const std::vector<std::string> rotation_notes = plan::rotation_notes(plan.decisions, options);
  plan.notes.insert(plan.notes.end(), rotation_notes.begin(), rotation_notes.end());
  const std::vector<std::string>& learn_notes = builder.learning().notes();
  if (statistics_note) plan.notes.push_back(*statistics_note);
  plan.notes.insert(plan.notes.end(), learn_notes.begin(), learn_notes.end());
  plan.notes.insert(plan.notes.end(), like_notes.begin(), like_notes.end());
  plan.notes.insert(plan.notes.end(), again.notes.begin(), again.notes.end());
  if (!note.empty()) plan.notes.push_back(note);
  if (options.sharding) plan::cut_into_shards(plan, *options.sharding);
  return plan;
}

std::uint64_t Plan::output_bytes() const noexcept {
  if (shards.empty()) return output.file_bytes();
  std::uint64_t bytes = index.size();
  for (const OutputShard& shard : shards) bytes += shard.header.file_bytes();
  return bytes;
}

Place Plan::lora_place(std::uint32_t tensor) const {
  const auto n_files = static_cast<std::uint32_t>(std::max<std::size_t>(shards.size(), 1));
  return {n_files, lora->data_start + lora->tensors[tensor].begin};
}

std::string Plan::hash() const { return base::digest(to_json()); }

}  // namespace halftone
