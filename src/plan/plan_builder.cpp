#include "plan/plan_builder.hpp"

#include <algorithm>
#include <unordered_set>

#include "base/fail.hpp"
#include "plan/lora.hpp"

namespace halftone::plan {
namespace {

/// A job that reads a stored layer.
Job reading(const formats::QuantizedLayer& layer, JobKind kind) {
  Job job{.kind = kind, .inputs = {*layer.weight}, .stored = StoredWeight{layer.readable->spec, layer.readable->shape, {Role::codes}}};
  const auto add = [&](const ModelTensor* tensor, Role role) {
    if (tensor == nullptr) return;
    job.inputs.push_back(*tensor);
    job.stored->roles.push_back(role);
  };
  add(layer.readable->scales, Role::scales);
  add(layer.readable->tensor_scale, Role::tensor_scale);
  add(layer.readable->row_scales, Role::row_scales);
  add(layer.readable->levels, Role::levels);
  add(layer.readable->nested_scales, Role::nested_scales);
  add(layer.readable->nested_levels, Role::nested_levels);
  job.stored->nested_offset = layer.readable->nested_offset;
  return job;
}

}  // namespace

PlanBuilder::PlanBuilder(const ModelIndex& model) : model_(model) {
  plan_.input_digest = model.digest();
  plan_.input_bytes = model.file_bytes();
  plan_.input_tensors = model.tensors().size();
}

void PlanBuilder::add(Decision& decision) {
  const ModelTensor& tensor = *model_.find(decision.tensor);
  switch (decision.action) {
    case Action::drop: decision.out_bytes = 0; return;
    case Action::keep:
      if (!learning_.takes(tensor.info.name)) add_copy(tensor);
      return;
    case Action::quantize: return add_quantized(decision, tensor.info, {.kind = JobKind::quantize, .inputs = {tensor}});
    case Action::cast: {
      TensorInfo out = tensor.info;
      out.dtype = decision.dtype;
      decision.out_bytes = byte_count(out.dtype, out.shape);
      const JobKind kind = out.dtype == tensor.info.dtype ? JobKind::copy : JobKind::cast;
      add_job({.kind = kind, .inputs = {tensor}}, {std::move(out)});
      return;
    }
  }
}

void PlanBuilder::add_copy(const ModelTensor& tensor) { add_job({.kind = JobKind::copy, .inputs = {tensor}}, {tensor.info}); }

void PlanBuilder::add_again(Decision& decision, const formats::QuantizedLayer& layer) {
  const TensorInfo weight{.name = layer.weight->info.name, .dtype = Dtype::F32, .shape = layer.readable->shape};
  add_quantized(decision, weight, reading(layer, JobKind::quantize));
}

void PlanBuilder::add_dequantized(const formats::QuantizedLayer& layer, Dtype dtype) {
  add_job(reading(layer, JobKind::dequantize), {{.name = layer.weight->info.name, .dtype = dtype, .shape = layer.readable->shape}});
}

void PlanBuilder::add_quantized(Decision& decision, const TensorInfo& weight, Job job) {
  std::vector<TensorInfo> computed;
  decision.out_bytes = 0;
  for (LayerTensor& out : decision.spec.format->outputs(weight, decision.spec)) {
    TensorInfo info{.name = std::move(out.name), .dtype = out.dtype, .shape = std::move(out.shape)};
    decision.out_bytes += byte_count(info.dtype, info.shape);
    if (out.role != Role::constant) {
      computed.push_back(std::move(info));
      job.roles.push_back(out.role);
      if (out.role == Role::nested_state) job.bytes = std::move(out.bytes);
    } else {
      if (out.bytes.size() != byte_count(info.dtype, info.shape)) {
        fail(ErrorKind::internal, "the format {} gives '{}' {} bytes", decision.spec.format->name(), info.name, out.bytes.size());
      }
      add_job({.kind = JobKind::constant, .bytes = std::move(out.bytes)}, {std::move(info)});
    }
  }
  job.spec = decision.spec;
  if (const LearnRecipe* recipe = learning_.recipe(decision.tensor)) {
    job.learn = *recipe;
    if (recipe->bias) {
      computed.push_back(recipe->bias->info);
      job.roles.push_back(Role::bias);
    }
  }
  if (job.learn && job.learn->lora_rank > 0) {
    corrected_.push_back(plan_.jobs.size());
    for (TensorInfo& factor : lora_factors(weight, job.learn->lora_rank)) lora_.push_back(std::move(factor));
  }
  add_job(std::move(job), std::move(computed));
}

void PlanBuilder::add_job(Job job, std::vector<TensorInfo> outputs) {
  std::vector<std::string>& names = names_.emplace_back();
  for (TensorInfo& info : outputs) {
    names.push_back(info.name);
    tensors_.push_back(std::move(info));
  }
  plan_.jobs.push_back(std::move(job));
}

void PlanBuilder::finish_lora() {
  if (lora_.empty()) return;
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  for (const TensorInfo& factor : lora_) {
    names.push_back(factor.name);
    if (seen.insert(factor.name).second) continue;
    fail(ErrorKind::bad_quantization, "the LoRA would hold two tensors '{}': two layers have this name, with and without a prefix",
         factor.name);
  }
  plan_.lora = lay_out(std::move(lora_), {}, false);
  std::unordered_map<std::string_view, std::uint32_t> position;
  for (std::uint32_t i = 0; i < plan_.lora->tensors.size(); ++i) position.emplace(plan_.lora->tensors[i].name, i);
  for (std::size_t i = 0; i < corrected_.size(); ++i) {
    plan_.jobs[corrected_[i]].lora = LowRank{position.at(names[2 * i]), position.at(names[2 * i + 1])};
  }
}

Plan PlanBuilder::finish(Metadata metadata, bool has_metadata, std::vector<Decision> decisions) {
  std::unordered_set<std::string> names;
  for (const TensorInfo& tensor : tensors_) {
    if (names.insert(tensor.name).second) continue;
    fail(ErrorKind::bad_quantization, "the output would hold two tensors '{}': the input has one, and another is written under its name",
         tensor.name);
  }
  plan_.output = lay_out(std::move(tensors_), std::move(metadata), has_metadata);
  std::unordered_map<std::string_view, std::uint32_t> position;
  for (std::uint32_t i = 0; i < plan_.output.tensors.size(); ++i) position.emplace(plan_.output.tensors[i].name, i);
  for (const TensorInfo& tensor : plan_.output.tensors) plan_.places.push_back({0, plan_.output.data_start + tensor.begin});
  for (std::size_t j = 0; j < plan_.jobs.size(); ++j) {
    for (const std::string& name : names_[j]) plan_.jobs[j].outputs.push_back(position.at(name));
  }
  finish_lora();
  std::sort(plan_.jobs.begin(), plan_.jobs.end(), [](const Job& a, const Job& b) { return a.outputs.front() < b.outputs.front(); });
  plan_.decisions = std::move(decisions);
  return std::move(plan_);
}

}  // namespace halftone::plan
