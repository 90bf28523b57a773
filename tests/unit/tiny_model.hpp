#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <halftone/plan.hpp>

namespace halftone::test {

/// A model of one file with the given tensors; only its header exists.
inline ModelIndex model_of(std::vector<TensorInfo> tensors, Metadata metadata = {}) {
  const bool has_metadata = !metadata.empty();
  std::vector<ModelIndex::Shard> shards;
  shards.push_back({"model.safetensors", lay_out(std::move(tensors), std::move(metadata), has_metadata)});
  return ModelIndex(std::move(shards));
}

/// A BF16 weight.
inline TensorInfo bf16(std::string name, Shape shape) { return {std::move(name), Dtype::BF16, std::move(shape)}; }

/// Options that quantize every two-dimensional `*.weight` with `format`.
inline PlanOptions options_for(std::string_view format) {
  PlanOptions options;
  options.spec.format = &format_named(format);
  options.presets = {"none"};
  return options;
}

/// The decision for the tensor `name`; throws where the plan has none.
inline const Decision& decision_for(const Plan& plan, std::string_view name) {
  for (const Decision& decision : plan.decisions) {
    if (decision.tensor == name) return decision;
  }
  throw std::out_of_range("no decision for " + std::string(name));
}

/// The output tensor `name`, or null.
inline const TensorInfo* output_of(const Plan& plan, std::string_view name) {
  for (const TensorInfo& tensor : plan.output.tensors) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

}  // namespace halftone::test
