#include "learn/quantized_weight.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "formats/double_quant.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::learn {

using formats::AnyScale;
using formats::Packing;
using formats::ScaleRules;

QuantizedWeight::QuantizedWeight(const QuantSpec& spec, const formats::LayerLayout& layout, const std::vector<float>& weight,
                                 std::uint64_t rows, std::uint64_t columns)
    : spec_(spec),
      layout_(layout),
      weight_(weight),
      rows_(rows),
      columns_(columns),
      levels_(levels_of(*spec.format)),
      level_of_(level_of_code(*spec.format, levels_)),
      codes_(rows * columns) {}

void QuantizedWeight::round_to_nearest(const QuantSpec& spec, const Backend& backend, float amax,
                                       const std::vector<float>& search_weights) {
  amax_ = amax;
  tensor_scale_ = amax > 0.0F ? tensor_scale(*spec_.format, amax) : 1.0F;
  // The last row of a flat weight may be partial.
  const std::uint64_t rows = layout_.rows();
  std::vector<float> whole;
  const float* weight = weight_.data();
  if (rows * layout_.columns() != weight_.size()) {
    whole = weight_;
    whole.resize(rows * layout_.columns());
    weight = whole.data();
  }
  std::vector<std::byte> packed(layout_.code_bytes(rows));
  scales_.resize(layout_.scale_bytes(rows));
  const MatrixView view{reinterpret_cast<const std::byte*>(weight), Dtype::F32, rows, layout_.columns()};
  backend.quantize(spec, view, amax, {packed.data(), scales_.data()});
  unpack(packed);
  if (!search_weights.empty() && layout_.has_group_scales()) search_scales(search_weights);
  operands_.resize(layout_.has_group_scales() ? layout_.scale_count(rows) : 0);
  for (std::uint64_t i = 0; i < operands_.size(); ++i) operands_[i] = operand(i);
  if (spec_.double_quant) nest_scales();
}

Problem QuantizedWeight::problem() const {
  Problem problem{.rows = rows_, .columns = columns_, .weight = weight_.data(), .levels = levels_};
  problem.group_of.resize(columns_);
  if (operands_.empty()) {
    problem.scales.assign(rows_, tensor_scale_);
  } else if (is_regular()) {
    const std::uint64_t width = layout_.group_columns();
    problem.groups = base::ceil_div(columns_, width);
    for (std::uint64_t i = 0; i < columns_; ++i) problem.group_of[i] = static_cast<std::uint32_t>(i / width);
  } else {
    problem.groups = columns_;
    std::iota(problem.group_of.begin(), problem.group_of.end(), 0U);
  }
  if (!operands_.empty()) {
    problem.scales.resize(rows_ * problem.groups);
    const std::uint64_t width = problem.groups == columns_ ? 1 : layout_.group_columns();
    for (std::uint64_t row = 0; row < rows_; ++row) {
      for (std::uint64_t g = 0; g < problem.groups; ++g) problem.scales[row * problem.groups + g] = scale_at(row, g * width);
    }
  }
  problem.start.resize(codes_.size());
  for (std::size_t i = 0; i < codes_.size(); ++i) problem.start[i] = level_of_.level[codes_[i]];
  return problem;
}

std::uint64_t QuantizedWeight::take(const std::vector<std::uint8_t>& levels) {
  std::uint64_t changed = 0;
  for (std::size_t i = 0; i < codes_.size(); ++i) {
    // A code that keeps its level stays as it is: one of several zeros, for example.
    if (level_of_.level[codes_[i]] == levels[i]) continue;
    codes_[i] = levels_.codes[levels[i]];
    ++changed;
  }
  return changed;
}

std::vector<std::byte> QuantizedWeight::packed_codes(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t padded = layout_.padded_columns();
  const Packing packing = formats::scale_rules(*spec_.format).packing;
  std::vector<std::byte> packed(layout_.code_bytes(count));
  std::vector<std::uint8_t> row(padded + padded % 2);
  for (std::uint64_t r = 0; r < count; ++r) {
    const std::uint64_t begin = (first + r) * layout_.columns();
    const std::uint64_t n = std::min<std::uint64_t>(layout_.columns(), codes_.size() - begin);
    std::fill(row.begin(), row.end(), std::uint8_t{0});
    std::copy_n(codes_.begin() + static_cast<std::ptrdiff_t>(begin), n, row.begin());
    std::byte* out = packed.data() + layout_.code_bytes(r);
    if (packing == Packing::bytes) {
      std::memcpy(out, row.data(), padded);
      continue;
    }
    const int first_shift = packing == Packing::high_nibble_first ? 4 : 0;
    for (std::uint64_t i = 0; i < padded / 2; ++i) {
      out[i] = static_cast<std::byte>(row[2 * i] << first_shift | row[2 * i + 1] << (4 - first_shift));
    }
  }
  return packed;
}

void QuantizedWeight::unpack(std::span<const std::byte> packed) {
  const Packing packing = formats::scale_rules(*spec_.format).packing;
  const int first_shift = packing == Packing::high_nibble_first ? 4 : 0;
  for (std::uint64_t row = 0; row < layout_.rows(); ++row) {
    const std::byte* in = packed.data() + layout_.code_bytes(row);
    const std::uint64_t begin = row * layout_.columns();
    const std::uint64_t n = std::min<std::uint64_t>(layout_.columns(), codes_.size() - begin);
    for (std::uint64_t i = 0; i < n; ++i) {
      if (packing == Packing::bytes) {
        codes_[begin + i] = std::to_integer<std::uint8_t>(in[i]);
      } else {
        const int shift = i % 2 == 0 ? first_shift : 4 - first_shift;
        codes_[begin + i] = static_cast<std::uint8_t>(std::to_integer<std::uint32_t>(in[i / 2]) >> shift & 15U);
      }
    }
  }
}

std::span<const std::byte> QuantizedWeight::scales_of(std::uint64_t first, std::uint64_t count) const {
  const std::uint64_t begin = layout_.first_scale(first) * spec_.format->storage().scale_bytes;
  return std::span(scales_).subspan(std::min<std::uint64_t>(begin, scales_.size()), layout_.scale_bytes(count));
}

std::vector<double> QuantizedWeight::lost_outputs(const std::vector<float>& original, const std::vector<float>& mean,
                                                  const std::vector<float>& mean_quantized) const {
  std::vector<double> lost(rows_);
  for (std::uint64_t row = 0; row < rows_; ++row) {
    for (std::uint64_t i = 0; i < columns_; ++i) {
      const std::uint64_t at = row * columns_ + i;
      const float value = levels_.values[level_of_.level[codes_[at]]] * scale_at(row, i);
      lost[row] += static_cast<double>(original[at]) * static_cast<double>(mean[i]) -
                   static_cast<double>(value) * static_cast<double>(mean_quantized[i]);
    }
  }
  return lost;
}

float QuantizedWeight::operand(std::uint64_t index) const {
  std::uint32_t stored = 0;
  const std::uint32_t width = spec_.format->storage().scale_bytes;
  std::memcpy(&stored, scales_.data() + index * width, width);
  return formats::scale_rules(*spec_.format).operand(stored, tensor_scale_);
}

float QuantizedWeight::scale_at(std::uint64_t row, std::uint64_t column) const {
  if (operands_.empty()) return tensor_scale_;
  if (spec_.format->storage().flat) return operands_[(row * columns_ + column) / layout_.columns()];
  return operands_[layout_.first_scale(row) + column / layout_.group_columns()];
}

bool QuantizedWeight::is_regular() const { return !spec_.format->storage().flat || columns_ % layout_.columns() == 0; }

/// The scales are those that are stored: quantized themselves.
void QuantizedWeight::nest_scales() {
  const formats::NestedScales nested = formats::nest(operands_);
  for (std::size_t i = 0; i < operands_.size(); ++i) {
    operands_[i] =
        formats::nested_scale(formats::dynamic_levels()[nested.codes[i]], nested.magnitudes[i / formats::kNestedBlock], nested.offset);
  }
}

/// Chooses for each group, of the scales that its format may choose from, that of the least weighted squared error.
void QuantizedWeight::search_scales(const std::vector<float>& search_weights) {
  const ScaleRules& rules = formats::scale_rules(*spec_.format);
  const bool flat = spec_.format->storage().flat;
  const std::uint64_t width = layout_.group_columns();
  const std::uint64_t height = layout_.group_rows();
  const std::uint32_t scale_bytes = spec_.format->storage().scale_bytes;
  std::vector<std::uint64_t> places;
  for (std::uint64_t row = 0; row < layout_.rows(); row += height) {
    for (std::uint64_t first = 0; first < layout_.columns(); first += width) {
      places.clear();
      for (std::uint64_t r = row; r < std::min(row + height, layout_.rows()); ++r) {
        for (std::uint64_t i = first; i < std::min(first + width, layout_.columns()); ++i) {
          if (const std::uint64_t at = r * layout_.columns() + i; at < weight_.size()) places.push_back(at);
        }
      }
      float amax = 0.0F;
      for (const std::uint64_t at : places) amax = std::max(amax, codec::magnitude(weight_[at]));
      AnyScale best{};
      double least = std::numeric_limits<double>::infinity();
      for (int i = 0; i < rules.candidates; ++i) {
        const AnyScale scale = rules.candidate(amax, tensor_scale_, i);
        const float operand = rules.operand(scale.stored, tensor_scale_);
        double sum = 0;
        for (const std::uint64_t at : places) {
          const float value = operand > 0.0F ? levels_.values[nearest_level(levels_.thresholds, weight_[at] / operand)] * operand : 0.0F;
          const double error = static_cast<double>(value - weight_[at]);
          sum += static_cast<double>(search_weights[at % columns_]) * error * error;
        }
        if (!(sum < least)) continue;
        least = sum;
        best = scale;
      }
      for (const std::uint64_t at : places) codes_[at] = static_cast<std::uint8_t>(rules.encode(weight_[at], best.encode));
      const std::uint64_t index = flat ? row : layout_.first_scale(row) + first / width;
      std::memcpy(scales_.data() + index * scale_bytes, &best.stored, scale_bytes);
    }
  }
}

}  // namespace halftone::learn
