#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/codec/half.hpp>

#include "formats/all_formats.hpp"
#include "formats/format_traits.hpp"
#include "formats/rotation.hpp"
#include "formats/scale_rules.hpp"
#include "support/format_spec.hpp"

namespace halftone::test {

// What a backend must compute, one element at a time and without kernels: the same scalar
// functions of format.hpp, compiled for the baseline instruction set of the test.

/// The maths of one format as functions.
struct ScalarFormat {
  std::uint32_t (*encode)(float weight, float operand);
  float (*decode)(std::uint8_t code, float operand);
  formats::Packing packing;
};

inline ScalarFormat scalar_format(const FormatDescriptor& format) {
  static const std::vector<ScalarFormat> all = {
#define HALFTONE_FORMAT(folder)                                                                                               \
  ScalarFormat{[](float weight, float operand) -> std::uint32_t { return formats::folder::Format::encode(weight, operand); }, \
               [](std::uint8_t code, float operand) { return formats::folder::Format::decode(code, operand); },               \
               formats::kPackingOf<formats::folder::Format>},
#include "formats/formats.def"
#undef HALFTONE_FORMAT
  };
  return all[format.index()];
}

/// Element `i` of `data` as binary32.
inline float scalar_load(Dtype dtype, const std::byte* data, std::size_t i) {
  const auto raw = [&](auto value) {
    std::memcpy(&value, data + i * sizeof value, sizeof value);
    return value;
  };
  switch (dtype) {
    case Dtype::F64: return static_cast<float>(raw(double{}));
    case Dtype::BF16: return codec::Bf16::decode(raw(std::uint16_t{}));
    case Dtype::F16: return codec::F16::decode(raw(std::uint16_t{}));
    default: return raw(float{});
  }
}

inline std::uint32_t scalar_max(const MatrixView& band) {
  std::uint32_t largest = 0;
  for (std::size_t i = 0; i < band.elements(); ++i) {
    largest = std::max(largest, codec::bits(scalar_load(band.dtype, band.data, i)) & codec::kMagnitudeMask);
  }
  return largest;
}

/// The values of a band, rotated where the spec says so.
inline std::vector<float> scalar_values(const QuantSpec& spec, const MatrixView& band) {
  std::vector<float> values(band.elements());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = scalar_load(band.dtype, band.data, i);
  if (spec.rotation_group != 0) formats::rotate_groups(values.data(), values.size(), spec.rotation_group);
  return values;
}

/// Where the code of an element lies, and its scale.
class ScalarPlaces {
 public:
  ScalarPlaces(const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns)
      : layout_(spec, rows, columns), columns_(columns), packing_(scalar_format(*spec.format).packing) {}

  [[nodiscard]] std::size_t group(std::size_t element) const {
    if (!layout_.has_group_scales()) return 0;
    return layout_.first_scale(element / columns_) + element % columns_ / layout_.group_columns();
  }
  void put(std::vector<std::byte>& codes, std::size_t element, std::uint32_t code) const {
    codes[byte(element)] |= static_cast<std::byte>(code << shift(element));
  }
  [[nodiscard]] std::uint8_t get(const std::vector<std::byte>& codes, std::size_t element) const {
    const auto value = std::to_integer<std::uint32_t>(codes[byte(element)]) >> shift(element);
    return static_cast<std::uint8_t>(packing_ == formats::Packing::bytes ? value : value & 15U);
  }

 private:
  [[nodiscard]] std::size_t byte(std::size_t element) const {
    const std::size_t column = element % columns_;
    return layout_.code_bytes(element / columns_) + (packing_ == formats::Packing::bytes ? column : column / 2);
  }
  [[nodiscard]] int shift(std::size_t element) const {
    if (packing_ == formats::Packing::bytes) return 0;
    const bool first = element % columns_ % 2 == 0;
    return first == (packing_ == formats::Packing::high_nibble_first) ? 4 : 0;
  }

  formats::LayerLayout layout_;
  std::uint64_t columns_;
  formats::Packing packing_;
};

/// The operand of decode() for each group of a band.
inline std::vector<float> scalar_operands(const QuantSpec& spec, const std::vector<std::byte>& scales, float tensor_scale) {
  const std::uint32_t width = spec.format->storage().scale_bytes;
  if (scales.empty()) return {tensor_scale};
  std::vector<float> operands;
  for (std::size_t at = 0; at < scales.size(); at += width) {
    std::uint32_t stored = 0;
    std::memcpy(&stored, scales.data() + at, width);
    operands.push_back(formats::scale_rules(*spec.format).operand(stored, tensor_scale));
  }
  return operands;
}

inline BandBuffers scalar_quantize(const QuantSpec& spec, const MatrixView& band, float tensor_amax) {
  BandBuffers out(spec, band.rows, band.columns);
  if (band.elements() == 0) return out;
  const ScalarPlaces places(spec, band.rows, band.columns);
  const std::vector<float> values = scalar_values(spec, band);
  const bool grouped = out.layout.has_group_scales();
  std::vector<std::uint32_t> largest(grouped ? out.layout.scale_count(band.rows) : 1, grouped ? 0 : codec::bits(tensor_amax));
  for (std::size_t i = 0; i < values.size() && grouped; ++i) {
    std::uint32_t& group = largest[places.group(i)];
    group = std::max(group, codec::bits(values[i]) & codec::kMagnitudeMask);
  }
  const formats::ScaleRules& rules = formats::scale_rules(*spec.format);
  const float tensor = rules.tensor(tensor_amax);
  const std::uint32_t width = spec.format->storage().scale_bytes;
  for (std::size_t g = 0; g < largest.size() && grouped; ++g) {
    const std::uint32_t stored = rules.group(codec::from_bits(largest[g]), tensor).stored;
    std::memcpy(out.scales.data() + g * width, &stored, width);
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float operand = rules.group(codec::from_bits(largest[places.group(i)]), tensor).encode;
    places.put(out.codes, i, scalar_format(*spec.format).encode(values[i], operand));
  }
  return out;
}

/// The values of a band in the space of its codes: of a rotated format, still rotated.
inline std::vector<float> scalar_decode(const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns,
                                        const std::vector<std::byte>& codes, const std::vector<std::byte>& scales, float tensor_scale) {
  const ScalarPlaces places(spec, rows, columns);
  const std::vector<float> operands = scalar_operands(spec, scales, tensor_scale);
  std::vector<float> values(rows * columns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = scalar_format(*spec.format).decode(places.get(codes, i), operands[places.group(i)]);
  }
  return values;
}

}  // namespace halftone::test
