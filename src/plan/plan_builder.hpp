#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <halftone/plan.hpp>

namespace halftone::plan {

/// Collects the tensors and jobs of a plan, then lays the output out.
class PlanBuilder {
 public:
  explicit PlanBuilder(const ModelIndex& model);

  [[nodiscard]] Plan& plan() noexcept { return plan_; }

  /// Adds what `decision` writes and sets its out_bytes.
  void add(Decision& decision);
  /// Adds a tensor that is copied.
  void add_copy(const ModelTensor& tensor);
  /// Adds a job that reads `inputs` and writes `outputs`, in that order.
  void add_job(Job job, std::vector<TensorInfo> outputs);

  /// Lays the output out and links the jobs to it.
  /// Throws bad_quantization where two tensors of the output have one name.
  [[nodiscard]] Plan finish(Metadata metadata, bool has_metadata, std::vector<Decision> decisions);

 private:
  void add_quantized(Decision& decision, const ModelTensor& tensor);

  const ModelIndex& model_;
  Plan plan_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::vector<std::string>> names_;  ///< of each job's outputs
};

}  // namespace halftone::plan
