#include "formats/stored_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/fail.hpp"
#include "formats/double_quant.hpp"
#include "formats/rotation.hpp"
#include "formats/scale_rules.hpp"
#include "formats/swizzle.hpp"

namespace halftone::formats {
namespace {

/// Elements of flat blocks that are decoded at a time; small enough for the L2 cache.
constexpr std::uint64_t kFlatElements = 1 << 15;

float float_at(const std::byte* data) {
  float value = 0;
  std::memcpy(&value, data, sizeof value);
  return value;
}

}  // namespace

Extent extent_of(const Shape& shape) {
  if (shape.empty()) return {1, 1};
  return {shape[0], shape[0] == 0 ? 0 : element_count(shape) / shape[0]};
}

std::span<const std::byte> StoredMatrix::codes_of(std::uint64_t first, std::uint64_t count) const {
  std::uint64_t begin = layout_.code_bytes(first);
  std::uint64_t end = layout_.code_bytes(first + count);
  if (spec_.format->storage().flat) {
    begin = layout_.code_bytes(first * columns_ / layout_.columns());
    end = layout_.code_bytes(base::ceil_div((first + count) * columns_, layout_.columns()));
  }
  end = std::min<std::uint64_t>(end, codes_.size());
  return codes_.subspan(begin, end - begin);
}

std::optional<std::uint64_t> StoredMatrix::first_bad_scale() const {
  if (!std::isfinite(tensor_scale_)) return 0;
  const std::uint32_t width = spec_.format->storage().scale_bytes;
  const auto operand = scale_rules(*spec_.format).operand;
  if (!rare_.nested_scales.empty()) {
    for (std::uint64_t i = 0; i < scales_.size(); ++i) {
      if (!std::isfinite(nested_scales(i, 1).front())) return i;
    }
    return std::nullopt;
  }
  for (std::uint64_t i = 0; i < scales_.size() / width; ++i) {
    std::uint32_t stored = 0;
    std::memcpy(&stored, scales_.data() + i * width, width);
    if (!std::isfinite(operand(stored, 1.0F))) return i;
  }
  const auto all_finite = [](std::span<const std::byte> floats) {
    for (std::size_t at = 0; at < floats.size(); at += sizeof(float)) {
      if (!std::isfinite(float_at(floats.data() + at))) return false;
    }
    return true;
  };
  if (!all_finite(rare_.row_scales) || !all_finite(std::as_bytes(std::span(levels_)))) return scales_.size() / width;
  return std::nullopt;
}

void StoredMatrix::require_finite_scales(std::string_view weight) const {
  if (const auto bad = first_bad_scale()) {
    fail(ErrorKind::bad_quantization, "the layer of '{}' has a scale that is not finite (number {} of them)", weight, *bad + 1);
  }
}

void StoredMatrix::read(const Backend& backend, std::uint64_t first, std::uint64_t count, float* out) const {
  if (count == 0 || columns_ == 0) return;
  if (!spec_.format->storage().flat) return read_rows(backend, first, count, out);
  for (std::uint64_t at = first * columns_, end = (first + count) * columns_; at < end;) {
    const std::uint64_t step = std::min(std::max(kFlatElements, layout_.columns()), end - at);
    read_blocks(backend, at, step, out + (at - first * columns_));
    at += step;
  }
}

void StoredMatrix::read_rows(const Backend& backend, std::uint64_t first, std::uint64_t count, float* out) const {
  const MatrixView codes{codes_.data() + layout_.code_bytes(first), spec_.format->facts().code_dtype, count, columns_};
  if (layout_.swizzled()) {
    const std::vector<std::byte> natural = Swizzle(layout_.groups_across()).untiled(scales_, layout_.groups_across(), first, count);
    return backend.dequantize(spec_, codes, natural.data(), tensor_scale_, out);
  }
  if (!rare_.row_scales.empty()) {
    const std::vector<std::byte> scales = scales_of_rows(first, count);
    if (!levels_.empty()) return read_levels(first, count, scales.data(), out);
    return backend.dequantize(spec_, codes, scales.data(), tensor_scale_, out);
  }
  const std::byte* scales = scales_.empty() ? nullptr : scales_.data() + layout_.first_scale(first) * spec_.format->storage().scale_bytes;
  backend.dequantize(spec_, codes, scales, tensor_scale_, out);
}

void StoredMatrix::unpack_codes(std::uint64_t row, std::uint8_t* out) const {
  const std::uint64_t begin = layout_.code_bytes(row);
  const std::uint64_t columns = std::min(layout_.columns(), layout_.elements() - row * layout_.columns());
  const Packing packing = scale_rules(*spec_.format).packing;
  for (std::uint64_t i = 0; i < columns; ++i) {
    const auto byte = std::to_integer<std::uint8_t>(codes_[begin + (packing == Packing::bytes ? i : i / 2)]);
    switch (packing) {
      case Packing::bytes: out[i] = byte; break;
      case Packing::high_nibble_first: out[i] = i % 2 == 0 ? byte >> 4 : byte & 15; break;
      case Packing::low_nibble_first: out[i] = i % 2 == 0 ? byte & 15 : byte >> 4; break;
    }
  }
}

float StoredMatrix::group_scale(std::uint64_t row, std::uint64_t group) const {
  if (!layout_.has_group_scales()) return tensor_scale_;
  if (!rare_.nested_scales.empty()) return nested_scales(row, 1).front();
  const std::uint64_t index = layout_.swizzled() ? Swizzle(layout_.groups_across()).offset(row, group) : layout_.first_scale(row) + group;
  const std::uint32_t width = spec_.format->storage().scale_bytes;
  std::uint32_t stored = 0;
  std::memcpy(&stored, scales_.data() + index * width, width);
  return scale_rules(*spec_.format).operand(stored, tensor_scale_);
}

float StoredMatrix::row_scale(std::uint64_t row) const {
  return rare_.row_scales.empty() ? 1.0F : float_at(rare_.row_scales.data() + row * sizeof(float));
}

float StoredMatrix::value_of(std::uint8_t code, float group_scale) const {
  const ScaleRules& rules = scale_rules(*spec_.format);
  return levels_.empty() ? rules.decode(code, group_scale) : rules.decode_level(levels_[code & 15U], group_scale);
}

std::vector<float> StoredMatrix::own_levels(const QuantSpec& spec, std::span<const std::byte> levels) {
  const ScaleRules& rules = scale_rules(*spec.format);
  if (rules.level == nullptr) return {};
  std::vector<float> own(16);
  bool same = true;
  for (std::uint32_t code = 0; code < own.size(); ++code) {
    // comfy-kitchen reads a layer without a table as signed integers.
    own[code] = levels.empty() ? static_cast<float>(code) - 8.0F : float_at(levels.data() + code * sizeof(float));
    same = same && codec::bits(own[code]) == codec::bits(rules.level(code));
  }
  return same ? std::vector<float>() : own;
}

std::vector<std::byte> StoredMatrix::scales_of_rows(std::uint64_t first, std::uint64_t count) const {
  std::vector<std::byte> scales(layout_.scale_bytes(count));
  const std::uint64_t groups = layout_.group_scale_bytes(1);
  for (std::uint64_t row = 0; row < count; ++row) {
    std::byte* out = scales.data() + layout_.scale_bytes(row);
    std::memcpy(out, scales_.data() + layout_.group_scale_bytes(first + row), groups);
    std::memcpy(out + groups, rare_.row_scales.data() + (first + row) * sizeof(float), sizeof(float));
  }
  return scales;
}

std::vector<float> StoredMatrix::nested_scales(std::uint64_t first, std::uint64_t count) const {
  return unnested({scales_, rare_.nested_scales, rare_.nested_levels, rare_.nested_offset}, first, count);
}

/// Rows whose codes stand for levels of the layer's own: no backend knows them.
void StoredMatrix::read_levels(std::uint64_t first, std::uint64_t count, const std::byte* scales, float* out) const {
  const ScaleRules& rules = scale_rules(*spec_.format);
  for (std::uint64_t row = 0; row < count; ++row) {
    const std::byte* codes = codes_.data() + layout_.code_bytes(first + row);
    const std::byte* of_groups = scales + layout_.scale_bytes(row);
    const float of_row = float_at(of_groups + layout_.group_scale_bytes(1));
    float* values = out + row * columns_;
    for (std::uint64_t i = 0; i < columns_; ++i) {
      const auto code = std::to_integer<std::uint32_t>(codes[i / 2]) >> (i % 2 == 0 ? 0 : 4) & 15U;
      const float operand = rules.operand(std::to_integer<std::uint32_t>(of_groups[i / layout_.group_columns()]), tensor_scale_);
      values[i] = rules.decode_level(levels_[code], operand) * of_row;
    }
    if (spec_.rotation_group != 0) rotate_groups(values, columns_, spec_.rotation_group);
  }
}

/// Elements [first_element, first_element + n) of the flattened weight, by way of whole blocks.
void StoredMatrix::read_blocks(const Backend& backend, std::uint64_t first_element, std::uint64_t n, float* out) const {
  const std::uint64_t block = layout_.columns();
  const std::uint64_t first = first_element / block;
  const std::uint64_t count = base::ceil_div(first_element + n, block) - first;
  const std::uint64_t begin = layout_.code_bytes(first);
  // The file may end within the last block.
  std::vector<std::byte> codes(layout_.code_bytes(count));
  std::memcpy(codes.data(), codes_.data() + begin, std::min<std::uint64_t>(codes.size(), codes_.size() - begin));
  std::vector<float> values(count * block);
  const std::vector<float> unnested = rare_.nested_scales.empty() ? std::vector<float>() : nested_scales(first, count);
  const std::byte* scales = unnested.empty() ? scales_.data() + layout_.scale_bytes(first) : std::as_bytes(std::span(unnested)).data();
  backend.dequantize(spec_, {codes.data(), spec_.format->facts().code_dtype, count, block}, scales, tensor_scale_, values.data());
  std::memcpy(out, values.data() + (first_element - first * block), n * sizeof(float));
}

}  // namespace halftone::formats
