#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <halftone/plan.hpp>

#include "formats/stored_layers.hpp"
#include "plan/learning.hpp"

namespace halftone::plan {

/// Collects the tensors and jobs of a plan, then lays the output out.
class PlanBuilder {
 public:
  explicit PlanBuilder(const ModelIndex& model);

  [[nodiscard]] Plan& plan() noexcept { return plan_; }

  /// Quantized weights get these recipes from now on.
  void set_learning(Learning learning) { learning_ = std::move(learning); }
  [[nodiscard]] const Learning& learning() const noexcept { return learning_; }

  /// Adds what `decision` writes and sets its out_bytes.
  void add(Decision& decision);
  /// The same for a layer that is quantized anew.
  void add_again(Decision& decision, const formats::QuantizedLayer& layer);
  /// Adds the job that dequantizes `layer` to `dtype`.
  void add_dequantized(const formats::QuantizedLayer& layer, Dtype dtype);
  /// Adds a tensor that is copied.
  void add_copy(const ModelTensor& tensor);
  /// Adds a job that reads `inputs` and writes `outputs`, in that order.
  void add_job(Job job, std::vector<TensorInfo> outputs);

  /// Lays the output out and links the jobs to it.
  /// Throws bad_quantization where two tensors of the output have one name.
  [[nodiscard]] Plan finish(Metadata metadata, bool has_metadata, std::vector<Decision> decisions);

 private:
  /// Adds what `decision` writes for `weight`; `job` has the inputs.
  void add_quantized(Decision& decision, const TensorInfo& weight, Job job);
  /// Lays the low-rank corrections out and links the jobs to them.
  void finish_lora();

  const ModelIndex& model_;
  Learning learning_;
  Plan plan_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::vector<std::string>> names_;  ///< of each job's outputs
  std::vector<TensorInfo> lora_;                 ///< the factors of the corrections
  std::vector<std::size_t> corrected_;           ///< jobs, each with two of lora_
};

}  // namespace halftone::plan
