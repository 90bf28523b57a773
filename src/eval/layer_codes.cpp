#include "eval/layer_codes.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <halftone/codec/hd.hpp>

#include "formats/rotation.hpp"

namespace halftone {
namespace {
/// Bits of a binary32 below the two upper ones of its mantissa: what is left of a positive one counts quarters of octaves.
constexpr std::uint32_t kBinShift = 21;
constexpr std::size_t kBins = std::size_t{1} << (31 - kBinShift);
}  // namespace

double CodeHistogram::entropy_bits() const noexcept {
  double all = 0;
  for (const std::uint64_t count : counts) all += static_cast<double>(count);
  double bits = 0;
  for (const std::uint64_t count : counts) {
    const double share = static_cast<double>(count) / all;
    if (count != 0) bits -= share * std::log2(share);
  }
  return bits;
}

std::uint64_t CodeHistogram::codes_used() const noexcept {
  return static_cast<std::uint64_t>(std::count_if(counts.begin(), counts.end(), [](std::uint64_t count) { return count != 0; }));
}

float ScaleHistogram::edge(std::size_t bin) const noexcept {
  return codec::from_bits((first + static_cast<std::uint32_t>(bin)) << kBinShift);
}

namespace eval {

LayerCodes::LayerCodes(const formats::StoredMatrix& stored, const QuantSpec& spec) : stored_(stored), spec_(spec), bins_(kBins) {
  const std::size_t n = std::size_t{1} << spec.format->storage().code_bits;
  codes_.counts.resize(n);
  for (std::size_t code = 0; code < n; ++code) {
    const auto byte = static_cast<std::uint8_t>(code);
    codes_.values.push_back(stored.value_of(byte, 1.0F));
    if (std::isfinite(codes_.values.back())) by_value_.push_back(byte);
  }
  std::sort(by_value_.begin(), by_value_.end(), [&](std::uint8_t a, std::uint8_t b) { return codes_.values[a] < codes_.values[b]; });
}

void LayerCodes::add(const float* weight, std::uint64_t first, std::uint64_t count) {
  const std::uint64_t columns = stored_.columns();
  if (columns == 0) return;
  if (spec_.format->storage().flat) {
    const std::uint64_t block = stored_.layout().columns();
    const std::uint64_t end = (first + count) * columns;
    for (std::uint64_t at = first * columns; at < end;) {
      const std::uint64_t row = at / block;
      const std::uint64_t stop = std::min(end, (row + 1) * block);
      add_row(weight + (at - first * columns), row, at - row * block, stop - row * block);
      at = stop;
    }
    return;
  }
  if (spec_.rotation_group != 0) {
    rotated_.assign(weight, weight + count * columns);
    for (std::uint64_t row = 0; row < count; ++row) formats::rotate_groups(rotated_.data() + row * columns, columns, spec_.rotation_group);
    weight = rotated_.data();
  }
  for (std::uint64_t row = 0; row < count; ++row) add_row(weight + row * columns, first + row, 0, columns);
}

void LayerCodes::add_row(const float* weight, std::uint64_t row, std::uint64_t begin, std::uint64_t end) {
  const formats::LayerLayout& layout = stored_.layout();
  row_codes_.resize(layout.columns());
  stored_.unpack_codes(row, row_codes_.data());
  for (std::uint64_t i = begin; i < end; ++i) ++codes_.counts[row_codes_[i]];
  const std::uint64_t group_columns = layout.group_columns();
  const float row_scale = stored_.row_scale(row);
  // A scale is counted where its group begins.
  const bool begins = layout.has_group_scales() ? row % layout.group_rows() == 0 : row == 0 && spec_.format->grid() != ScaleGrid::none;
  for (std::uint64_t from = begin; from < end;) {
    const std::uint64_t group = from / group_columns;
    const std::uint64_t to = std::min(end, (group + 1) * group_columns);
    const float scale = stored_.group_scale(row, group);
    if (begins && from == group * group_columns) count_scale(scale * row_scale);
    const Range range = range_of(scale, row_scale);
    for (std::uint64_t i = from; i < to; ++i) {
      if (weight[i - begin] < range.low || weight[i - begin] > range.high) ++clipped_;
    }
    from = to;
  }
}

LayerCodes::Range LayerCodes::range_of(float group_scale, float row_scale) const {
  const auto value = [&](std::size_t place) { return stored_.value_of(by_value_[place], group_scale) * row_scale; };
  const std::size_t n = by_value_.size();
  const float low = value(0);
  const float high = value(n - 1);
  return {low - 0.5F * (value(1) - low), high + 0.5F * (high - value(n - 2))};
}

void LayerCodes::count_scale(float scale) {
  if (scale == 0.0F) {
    ++zero_scales_;
  } else if (!std::isfinite(scale)) {
    ++not_finite_;
  } else {
    ++bins_[codec::bits(std::fabs(scale)) >> kBinShift];
  }
}

ScaleHistogram LayerCodes::scales() const {
  ScaleHistogram histogram;
  histogram.zeros = zero_scales_;
  histogram.not_finite = not_finite_;
  const auto is_used = [](std::uint64_t count) { return count != 0; };
  const auto begin = std::find_if(bins_.begin(), bins_.end(), is_used);
  if (begin == bins_.end()) return histogram;
  const auto end = std::find_if(bins_.rbegin(), bins_.rend(), is_used).base();
  histogram.first = static_cast<std::uint32_t>(begin - bins_.begin());
  histogram.counts.assign(begin, end);
  return histogram;
}

}  // namespace eval
}  // namespace halftone
