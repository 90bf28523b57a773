#include "plan/rewrite/rewrite.hpp"

#include "formats/layer_names.hpp"
#include "plan/selection.hpp"

namespace halftone::plan {
namespace {

Job constant(std::string bytes) { return {.kind = JobKind::constant, .bytes = std::move(bytes)}; }

}  // namespace

Rewrite::Rewrite(const ModelIndex& model, std::string command) : model_(model), command_(std::move(command)) {
  for (const ModelTensor& tensor : model.tensors()) {
    fates_.emplace(
        tensor.info.name,
        Fate{.name = tensor.info.name, .dtype = tensor.info.dtype, .shape = tensor.info.shape, .bytes = {}, .job = {}, .reason = {}});
  }
}

ModelIndex without_metadata(const ModelIndex& model, const std::string& key) {
  std::vector<ModelIndex::Shard> shards = model.shards();
  for (ModelIndex::Shard& shard : shards) shard.header.metadata.erase(key);
  return ModelIndex(std::move(shards));
}

void Rewrite::drop(const std::string& tensor, std::string reason) {
  Fate& fate = of(tensor);
  fate.dropped = true;
  fate.reason = std::move(reason);
}

void Rewrite::replace(const std::string& tensor, std::string text, std::string reason) {
  Fate& fate = of(tensor);
  fate.dtype = Dtype::U8;
  fate.shape = {text.size()};
  fate.bytes = std::move(text);
  fate.reason = std::move(reason);
}

void Rewrite::add(const std::string& owner, TensorInfo tensor, std::string bytes) {
  add(owner, std::move(tensor), constant(std::move(bytes)));
}

void Rewrite::add(const std::string& owner, TensorInfo tensor, Job job) {
  of(owner).added_bytes += byte_count(tensor.dtype, tensor.shape);
  added_.push_back({std::move(tensor), std::move(job)});
}

void Rewrite::change(std::string subject, std::string what) { changes_.push_back({std::move(subject), std::move(what)}); }

SideTexts Rewrite::texts(const SideTexts& texts) const {
  SideTexts written;
  for (const auto& [name, text] : texts) {
    const Fate& fate = fates_.at(name);
    if (!fate.dropped) written.emplace(fate.name, fate.bytes.value_or(text));
  }
  for (const Added& added : added_) {
    if (formats::has_suffix(added.tensor.name, formats::kSidecarSuffix)) written.emplace(added.tensor.name, added.job.bytes);
  }
  return written;
}

Plan Rewrite::finish(Metadata metadata, bool has_metadata) && {
  PlanBuilder builder(model_);
  builder.plan().preset = "none";
  builder.plan().preset_reason = "nothing is quantized";
  std::vector<Decision> decisions;
  for (const ModelTensor& tensor : model_.tensors()) {
    Fate& fate = of(tensor.info.name);
    Decision decision{.tensor = tensor.info.name, .layer = is_layer(tensor.info)};
    decision.action = fate.dropped ? Action::drop : Action::keep;
    decision.rule = fate.reason.empty() ? "default" : command_;
    decision.reason = fate.reason.empty() ? "nothing is changed" : fate.reason;
    decision.in_bytes = tensor.info.bytes();
    decision.out_bytes = fate.added_bytes;
    if (!fate.dropped) {
      TensorInfo out{.name = fate.name, .dtype = fate.dtype, .shape = fate.shape};
      decision.out_bytes += byte_count(out.dtype, out.shape);
      Job job{.kind = JobKind::copy, .inputs = {tensor}};
      if (fate.job) job = std::move(*fate.job);
      if (fate.bytes) job = constant(std::move(*fate.bytes));
      builder.add_job(std::move(job), {std::move(out)});
    }
    decisions.push_back(std::move(decision));
  }
  for (Added& added : added_) builder.add_job(std::move(added.job), {std::move(added.tensor)});
  Plan plan = builder.finish(std::move(metadata), has_metadata, std::move(decisions));
  plan.changes = std::move(changes_);
  return plan;
}

}  // namespace halftone::plan
