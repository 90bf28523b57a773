#pragma once

#include <optional>
#include <vector>

#include "exec/work.hpp"
#include "learn/feedback.hpp"

namespace halftone::exec {

/// The statistics of a layer's inputs as floats, rotated as its weight is.
class StatisticsReader {
 public:
  /// Reads what `job`, which quantizes `weight`, makes use of.  Throws bad_statistics for a value that is not finite.
  StatisticsReader(learn::Engine& engine, const Job& job, const Context& context, const TensorInfo& weight);

  /// Second moments, cross moments and the count, as long as this lives.
  [[nodiscard]] const learn::Moments& moments() const noexcept { return moments_; }
  /// The mean square of each column; empty where nothing is known or moments() have it.
  [[nodiscard]] const std::vector<float>& diagonal() const noexcept { return diagonal_; }
  /// Whether the inputs are those of a quantized model and the weight is to make up for that.
  [[nodiscard]] bool moves_target() const noexcept { return moments_.cross.data != nullptr && moments_.second.data != nullptr; }
  /// The mean input; for synthetic correction that of random inputs; zeros where nothing is known.
  [[nodiscard]] const std::vector<float>& mean() const noexcept { return mean_; }
  /// The mean input of the quantized model: mean(), where nothing else is known.
  [[nodiscard]] const std::vector<float>& mean_quantized() const noexcept { return mean_quantized_.empty() ? mean_ : mean_quantized_; }
  /// The square root of the second moment of each column, normalised to a mean of 1: between a search that knows only
  /// that column and one that trusts the feedback to even out; the second moment itself where there is no feedback.
  /// Empty where nothing is known.
  [[nodiscard]] std::vector<float> search_weights() const;

 private:
  /// A square matrix of the statistics, rotated on both sides; null without.
  [[nodiscard]] learn::Matrix read_square(const std::optional<ModelTensor>& tensor, std::uint32_t rotation_group);
  [[nodiscard]] std::vector<float> read(const std::optional<ModelTensor>& tensor) const;
  /// Throws bad_statistics for what no second moments are.
  void check_diagonal(const ModelTensor& tensor, const std::vector<float>& diagonal) const;
  void check_second(const ModelTensor& tensor, const learn::Matrix& second);
  /// Throws bad_statistics where E[x]² is larger than E[x²].
  void check_mean() const;
  /// Throws bad_statistics for cross moments of zeros beside second moments that are not.
  void check_cross();
  [[noreturn]] void refuse(const ModelTensor& tensor) const;
  [[nodiscard]] std::optional<std::uint64_t> read_count() const;

  learn::Engine& engine_;
  learn::Memory memory_;
  const LearnRecipe& recipe_;
  const Context& context_;
  std::uint64_t columns_;
  learn::Moments moments_;
  std::vector<float> mean_squares_;  ///< of the columns before any rotation; empty where they are not known
  std::vector<float> diagonal_;
  std::vector<float> mean_;
  std::vector<float> mean_quantized_;
};

}  // namespace halftone::exec
