#include "exec/layer_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/fail.hpp"
#include "formats/rotation.hpp"
#include "learn/synthetic.hpp"

namespace halftone::exec {
namespace {

/// R M Rᵀ, for a rotation of groups of `group` columns.
void rotate_both(std::vector<float>& square, std::uint64_t columns, std::uint32_t group) {
  if (square.empty()) return;
  for (int side = 0; side < 2; ++side) {
    formats::rotate_groups(square.data(), square.size(), group);
    for (std::uint64_t row = 0; row < columns; ++row) {
      for (std::uint64_t i = row + 1; i < columns; ++i) std::swap(square[row * columns + i], square[i * columns + row]);
    }
  }
}

/// What is known of the diagonal of rotated moments without the others: each of a group has the group's mean.
void rotate_diagonal(std::vector<float>& diagonal, std::uint32_t group) {
  for (std::size_t first = 0; first < diagonal.size(); first += group) {
    double sum = 0;
    for (std::size_t i = 0; i < group; ++i) sum += static_cast<double>(diagonal[first + i]);
    std::fill_n(diagonal.begin() + static_cast<std::ptrdiff_t>(first), group, static_cast<float>(sum / group));
  }
}

}  // namespace

StatisticsReader::StatisticsReader(const LearnRecipe& recipe, const Context& context, const TensorInfo& weight,
                                   std::uint32_t rotation_group)
    : recipe_(recipe), context_(context), columns_(weight.shape[1]) {
  const LayerStatistics& found = recipe.statistics;
  second_ = read(found.second_moment);
  cross_ = read(found.cross_moment);
  diagonal_ = read(found.diagonal);
  mean_ = read(found.mean);
  mean_quantized_ = read(found.mean_quantized);
  count_ = read_count();
  if (recipe.bias_correction == BiasCorrection::synthetic) {
    mean_ = learn::synthetic_mean(columns_, recipe.seed);
    mean_quantized_.clear();
  }
  if (mean_.empty()) mean_.resize(columns_);
  if (rotation_group == 0) return;
  rotate_both(second_, columns_, rotation_group);
  rotate_both(cross_, columns_, rotation_group);
  rotate_diagonal(diagonal_, rotation_group);
  formats::rotate_groups(mean_.data(), mean_.size(), rotation_group);
  formats::rotate_groups(mean_quantized_.data(), mean_quantized_.size(), rotation_group);
}

learn::Moments StatisticsReader::moments() const {
  return {second_.empty() ? nullptr : second_.data(), cross_.empty() ? nullptr : cross_.data(), count_};
}

std::vector<float> StatisticsReader::search_weights() const {
  std::vector<float> weights = diagonal_;
  if (!second_.empty()) {
    weights.resize(columns_);
    for (std::uint64_t i = 0; i < columns_; ++i) weights[i] = second_[i * (columns_ + 1)];
  }
  const bool is_fed_back = recipe_.method == LearnMethod::feedback;
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
  const auto bad = std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  context_.statistics->check();
  if (bad == values.end()) return values;
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' holds a value that is not finite (number {})",
       context_.statistics->path().string(), tensor->info.name, bad - values.begin() + 1);
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
