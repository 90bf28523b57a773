#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "allocate/layer_errors.hpp"
#include "exec/statistics_reader.hpp"

namespace halftone::allocate {

/// Where statistics of layers' inputs are read.
struct StatisticsFile {
  const io::ModelFiles& files;
  Statistics statistics;
};

/// The statistics in `files`; adds to `notes` what plan::check_kind() says of them.  Throws bad_statistics.
[[nodiscard]] StatisticsFile statistics_file(const io::ModelFiles& files, std::vector<std::string>& notes);

/// What statistics know of the inputs of one layer, in the memory of an engine of its own.
class LayerMoments {
 public:
  /// `shape`: of the weight.  `file` may be null.  All arguments must outlive this.  Throws bad_statistics.
  LayerMoments(const eval::FloatModel& model, const ModelTensor& weight, const StatisticsFile* file, const Backend& backend,
               const RunControl& control);

  /// Whether there is anything besides what layers without statistics have.
  [[nodiscard]] bool are_known() const noexcept { return engine_ != nullptr; }
  [[nodiscard]] const InputMoments& moments() const noexcept { return moments_; }
  /// The mean square of the inputs, where something is known.
  [[nodiscard]] std::optional<double> mean_square() const;
  /// The weight as a conversion with `spec` and these statistics writes it; nothing where the statistics change nothing.
  [[nodiscard]] std::optional<std::vector<float>> restore(const QuantSpec& spec, float amax) const;

 private:
  [[nodiscard]] Job job_with(const QuantSpec& spec) const;

  const eval::FloatModel& model_;
  const ModelTensor& weight_;
  const Backend& backend_;
  Shape shape_;
  LayerStatistics found_;
  Plan no_plan_;
  exec::Context context_;
  std::shared_ptr<learn::Engine> engine_;
  Job job_;  ///< that reader_ reads for
  std::optional<exec::StatisticsReader> reader_;
  InputMoments moments_;
};

}  // namespace halftone::allocate
