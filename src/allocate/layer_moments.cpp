#include "allocate/layer_moments.hpp"

#include <algorithm>
#include <numeric>

#include "eval/row_bands.hpp"
#include "formats/layer_names.hpp"
#include "learn/quantized_weight.hpp"
#include "plan/layer_statistics.hpp"

namespace halftone::allocate {
namespace {

/// Matrices of columns × columns that an engine holds: second moments, and two to look at them.
constexpr std::uint64_t kSquares = 3;
/// Matrices of the weight's shape: the weight, its codes, and what is scratch.
constexpr std::uint64_t kWeights = 3;

/// What is stored may be a weight of more dimensions, which statistics do not know.
LayerStatistics statistics_of(const StatisticsFile* file, const ModelTensor& weight, const Shape& shape) {
  if (file == nullptr || shape.size() != 2) return {};
  return plan::find_statistics(file->statistics, formats::base_name(weight.info.name), shape[1]);
}

}  // namespace

StatisticsFile statistics_file(const io::ModelFiles& files, std::vector<std::string>& notes) {
  StatisticsFile file{files, {files.path(), files.index()}};
  if (auto note = plan::check_kind(file.statistics)) notes.push_back(std::move(*note));
  return file;
}

LayerMoments::LayerMoments(const eval::FloatModel& model, const ModelTensor& weight, const StatisticsFile* file, const Backend& backend,
                           const RunControl& control)
    : model_(model),
      weight_(weight),
      backend_(backend),
      shape_(model.shape_of(weight)),
      found_(statistics_of(file, weight, shape_)),
      context_{no_plan_, model.files(), backend, {}, file == nullptr ? nullptr : &file->files, {}, nullptr, control, 0, 1},
      job_(job_with({.scales = ScaleMethod::search})) {
  if (!found_.second_moment && !found_.diagonal) return;
  const std::uint64_t columns = shape_[1];
  engine_ = backend.make_engine((kSquares * columns + kWeights * shape_[0]) * columns * sizeof(float));
  reader_.emplace(*engine_, job_, context_, TensorInfo{weight.info.name, weight.info.dtype, shape_});
  moments_ = {engine_.get(), reader_->moments().second, reader_->diagonal()};
}

/// A search for scales is what heeds all that is known of inputs.
Job LayerMoments::job_with(const QuantSpec& spec) const {
  Job job{.spec = spec, .learn = LearnRecipe()};
  job.learn->statistics = found_;
  return job;
}

std::optional<double> LayerMoments::mean_square() const {
  if (!are_known()) return std::nullopt;
  std::vector<float> diagonal = moments_.diagonal;
  if (moments_.second.data != nullptr) {
    diagonal.resize(shape_[1]);
    engine_->diagonal(moments_.second, diagonal.data());
  }
  return std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(shape_[1]);
}

std::optional<std::vector<float>> LayerMoments::restore(const QuantSpec& spec, float amax) const {
  const formats::LayerLayout layout(spec, shape_[0], shape_[1]);
  if (!are_known() || spec.scales != ScaleMethod::search || !layout.has_group_scales()) return std::nullopt;
  const std::uint64_t n = shape_[0] * shape_[1];
  std::vector<float> values(layout.rows() * layout.columns());  // as many as the weight has; more where the last block is filled up
  eval::for_each_band(context_.control.stop, formats::extent_of(shape_), model_.row_multiple(weight_),
                      [&](std::uint64_t first, std::uint64_t count) { model_.read(weight_, first, count, &values[first * shape_[1]]); });
  const Job job = job_with(spec);
  const exec::StatisticsReader reader(*engine_, job, context_, TensorInfo{weight_.info.name, weight_.info.dtype, shape_});
  learn::Memory memory(*engine_);
  const learn::Matrix weight = memory.matrix_of(values.data(), shape_[0], shape_[1]);
  if (spec.rotation_group != 0) engine_->rotate(weight.data, n, spec.rotation_group);
  learn::QuantizedWeight quantized(*engine_, spec, layout, weight);
  quantized.round_to_nearest(amax, reader.search_weights());
  std::vector<std::byte> codes(layout.code_bytes(layout.rows()));
  quantized.read_codes(0, codes.size(), codes.data());
  backend_.dequantize(spec, {codes.data(), spec.format->facts().code_dtype, layout.rows(), layout.columns()},
                      quantized.scales_of(0, layout.rows()).data(), layout.measures_first() ? tensor_scale(*spec.format, amax) : 1.0F,
                      values.data());
  values.resize(n);
  return values;
}

}  // namespace halftone::allocate
