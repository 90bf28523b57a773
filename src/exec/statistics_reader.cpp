#include "exec/statistics_reader.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "exec/input_band.hpp"
#include "formats/rotation.hpp"
#include "learn/synthetic.hpp"

namespace halftone::exec {
namespace {

/// What is known of the diagonal of rotated moments without the others: each of a group has the group's mean.
void rotate_diagonal(std::vector<float>& diagonal, std::uint32_t group) {
  for (std::size_t first = 0; first < diagonal.size(); first += group) {
    double sum = 0;
    for (std::size_t i = 0; i < group; ++i) sum += static_cast<double>(diagonal[first + i]);
    std::fill_n(diagonal.begin() + static_cast<std::ptrdiff_t>(first), group, static_cast<float>(sum / group));
  }
}

}  // namespace

StatisticsReader::StatisticsReader(learn::Engine& engine, const Job& job, const Context& context, const TensorInfo& weight)
    : engine_(engine), memory_(engine), recipe_(*job.learn), context_(context), columns_(weight.shape[1]) {
  const LearnRecipe& recipe = recipe_;
  const LayerStatistics& found = recipe.statistics;
  const std::uint32_t rotation_group = job.spec.rotation_group;
  const bool is_fed_back = uses_moments(recipe.method);
  if (is_fed_back || job.lora || job.spec.scales == ScaleMethod::search) {
    moments_.second = read_square(found.second_moment, rotation_group);
  }
  if (is_fed_back) moments_.cross = read_square(found.cross_moment, rotation_group);
  check_cross();
  diagonal_ = read(found.diagonal);
  mean_ = read(found.mean);
  mean_quantized_ = read(found.mean_quantized);
  check_mean();
  moments_.count = read_count();
  if (recipe.bias_correction == BiasCorrection::synthetic) {
    mean_ = learn::synthetic_mean(columns_, recipe.seed);
    mean_quantized_.clear();
  }
  if (mean_.empty()) mean_.resize(columns_);
  if (rotation_group == 0) return;
  rotate_diagonal(diagonal_, rotation_group);
  formats::rotate_groups(mean_.data(), mean_.size(), rotation_group);
  formats::rotate_groups(mean_quantized_.data(), mean_quantized_.size(), rotation_group);
}

std::vector<float> StatisticsReader::search_weights() const {
  std::vector<float> weights = diagonal_;
  if (moments_.second.data != nullptr) {
    weights.resize(columns_);
    engine_.diagonal(moments_.second, weights.data());
  }
  const bool is_fed_back = uses_moments(recipe_.method);
  double sum = 0;
  for (float& weight : weights) {
    weight = std::max(weight, 0.0F);
    if (is_fed_back) weight = std::sqrt(weight);
    sum += static_cast<double>(weight);
  }
  if (!(sum > 0)) return {};
  const auto factor = static_cast<float>(static_cast<double>(weights.size()) / sum);
  for (float& weight : weights) weight *= factor;
  return weights;
}

std::vector<float> StatisticsReader::read(const std::optional<ModelTensor>& tensor) const {
  if (!tensor) return {};
  const std::span<const std::byte> bytes = context_.statistics->bytes(*tensor);
  std::vector<float> values(element_count(tensor->info.shape));
  context_.backend.to_float(tensor->info.dtype, bytes.data(), values.size(), values.data());
  context_.statistics->check();
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) refuse(*tensor);
  if (tensor == recipe_.statistics.diagonal) check_diagonal(*tensor, values);
  return values;
}

void StatisticsReader::check_diagonal(const ModelTensor& tensor, const std::vector<float>& diagonal) const {
  const auto bad = std::find_if(diagonal.begin(), diagonal.end(), [](float value) { return value < 0.0F; });
  if (bad == diagonal.end()) return;
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' gives column {} a mean square of {}, which is negative",
       context_.statistics->path().string(), tensor.info.name, bad - diagonal.begin(), *bad);
}

/// ‖S‖² - <S, Sᵀ> is half of ‖S - Sᵀ‖².
void StatisticsReader::check_second(const ModelTensor& tensor, const learn::Matrix& second) {
  std::vector<float> diagonal(columns_);
  engine_.diagonal(second, diagonal.data());
  check_diagonal(tensor, diagonal);
  mean_squares_ = diagonal;
  learn::Memory scratch(engine_);
  const learn::Matrix turned = scratch.matrix(columns_, columns_);
  engine_.transpose(second, turned);
  constexpr double rounding = 1e-4;
  const double all = engine_.squared_norm(second);
  if (!(all - engine_.inner(second, turned) > rounding * all)) return;
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' is not symmetric, as second moments are", context_.statistics->path().string(),
       tensor.info.name);
}

/// Both are of x̂ where there are cross moments: then only its own mean can be compared.
void StatisticsReader::check_mean() const {
  const LayerStatistics& found = recipe_.statistics;
  const bool is_of_both = found.cross_moment || found.mean_quantized;
  const std::vector<float>& means = is_of_both ? mean_quantized_ : mean_;
  const std::vector<float>& squares = mean_squares_.empty() ? diagonal_ : mean_squares_;
  if (means.empty() || squares.empty()) return;
  constexpr double rounding = 1.0 / 16;  // BF16 explains a fifth of it, long sums in binary32 some more
  for (std::size_t i = 0; i < means.size(); ++i) {
    const auto mean = static_cast<double>(means[i]);
    if (mean * mean <= (1 + rounding) * static_cast<double>(squares[i]) + static_cast<double>(std::numeric_limits<float>::min())) continue;
    fail(ErrorKind::bad_statistics,
         "'{}': the tensor '{}' gives column {} a mean of {}, whose square exceeds the mean square of {} in '{}'",
         context_.statistics->path().string(), (is_of_both ? found.mean_quantized : found.mean)->info.name, i, mean, squares[i],
         (mean_squares_.empty() ? found.diagonal : found.second_moment)->info.name);
  }
}

/// Inputs of two models that have nothing in common are no inputs of one layer.
void StatisticsReader::check_cross() {
  const std::uint64_t n = columns_ * columns_;
  if (!moves_target() || engine_.largest(moments_.cross.data, n) != 0 || engine_.largest(moments_.second.data, n) == 0) return;
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' holds nothing but zeros, and '{}' does not", context_.statistics->path().string(),
       recipe_.statistics.cross_moment->info.name, recipe_.statistics.second_moment->info.name);
}

learn::Matrix StatisticsReader::read_square(const std::optional<ModelTensor>& tensor, std::uint32_t rotation_group) {
  if (!tensor) return {};
  const std::uint64_t n = columns_ * columns_;
  const learn::Matrix square = memory_.matrix(columns_, columns_);
  const InputBand in(*context_.statistics, *tensor, 0, tensor->info.bytes());
  engine_.load(tensor->info.dtype, in.data(), n, square.data);
  in.check();
  if (engine_.largest(square.data, n) >= codec::kInfinityBits) refuse(*tensor);
  if (tensor == recipe_.statistics.second_moment) check_second(*tensor, square);
  if (rotation_group == 0) return square;
  // The rows, then, in a second matrix for that time only, the columns.
  learn::Memory scratch(engine_);
  const learn::Matrix turned = scratch.matrix(columns_, columns_);
  engine_.rotate(square.data, n, rotation_group);
  engine_.transpose(square, turned);
  engine_.rotate(turned.data, n, rotation_group);
  engine_.transpose(turned, square);
  return square;
}

void StatisticsReader::refuse(const ModelTensor& tensor) const {
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' holds NaN or infinity", context_.statistics->path().string(), tensor.info.name);
}

std::optional<std::uint64_t> StatisticsReader::read_count() const {
  const std::optional<ModelTensor>& tensor = recipe_.statistics.count;
  if (!tensor) return std::nullopt;
  const std::span<const std::byte> bytes = context_.statistics->bytes(*tensor);
  double count = 0;
  if (tensor->info.dtype == Dtype::I64) {
    std::int64_t whole = 0;
    std::memcpy(&whole, bytes.data(), sizeof whole);
    count = static_cast<double>(whole);
  } else {
    float value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    count = static_cast<double>(value);
  }
  if (count >= 1 && count < 1e18) return static_cast<std::uint64_t>(count);
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' must be a number of vectors of at least 1, not {}",
       context_.statistics->path().string(), tensor->info.name, count);
}

}  // namespace halftone::exec
