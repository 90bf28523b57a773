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
  float (*fit)(const float* weights, std::uint32_t n, float& largest);  ///< null where scales are not fitted
};

/// Format::fit(), or null.
template <class Format>
auto scalar_fit() -> float (*)(const float*, std::uint32_t, float&) {
  if constexpr (formats::RowScaled<Format>) {
    return [](const float* weights, std::uint32_t n, float& largest) { return Format::fit(weights, n, largest); };
  } else {
    return nullptr;
  }
}

inline ScalarFormat scalar_format(const FormatDescriptor& format) {
  static const std::vector<ScalarFormat> all = {
#define HALFTONE_FORMAT(folder)                                                                                               \
  ScalarFormat{[](float weight, float operand) -> std::uint32_t { return formats::folder::Format::encode(weight, operand); }, \
               [](std::uint8_t code, float operand) { return formats::folder::Format::decode(code, operand); },               \
               formats::kPackingOf<formats::folder::Format>, scalar_fit<formats::folder::Format>()},
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

/// The scales of a band: an operand of decode() for each group, and a scale for each row.
struct ScalarScales {
  ScalarScales(const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns, const std::vector<std::byte>& scales, float tensor_scale)
      : of_rows(rows, 1.0F) {
    const formats::LayerLayout layout(spec, rows, columns);
    const std::uint32_t width = spec.format->storage().scale_bytes;
    if (scales.empty()) operands.push_back(tensor_scale);
    for (std::uint64_t row = 0; row < rows && !scales.empty(); row += layout.group_rows()) {
      const std::byte* from = scales.data() + layout.scale_bytes(row);
      for (std::uint64_t g = 0; g < layout.groups_across(); ++g) {
        std::uint32_t stored = 0;
        std::memcpy(&stored, from + g * width, width);
        operands.push_back(formats::scale_rules(*spec.format).operand(stored, tensor_scale));
      }
      if (layout.row_scale_bytes() != 0) std::memcpy(&of_rows[row], from + layout.group_scale_bytes(1), sizeof(float));
    }
  }

  std::vector<float> operands;
  std::vector<float> of_rows;
};

/// Scales that are fitted; `values` are left in units of the rows' scales.  Returns the fitted scale of each group.
inline std::vector<std::uint32_t> scalar_fits(const QuantSpec& spec, std::uint64_t rows, std::uint64_t columns, std::vector<float>& values,
                                              BandBuffers& out) {
  std::vector<std::uint32_t> fits;
  const std::uint64_t group = out.layout.group_columns();
  for (std::uint64_t row = 0; row < rows; ++row) {
    float* weights = values.data() + row * columns;
    float largest = 0.0F;
    std::vector<float> fitted;
    for (std::uint64_t i = 0; i < columns; i += group) {
      fitted.push_back(scalar_format(*spec.format).fit(weights + i, static_cast<std::uint32_t>(group), largest));
    }
    const float scale = formats::scale_rules(*spec.format).row(largest);
    for (std::uint64_t i = 0; i < columns; ++i) weights[i] /= scale;
    for (const float fit : fitted) fits.push_back(codec::bits(fit / scale));
    std::memcpy(out.scales.data() + out.layout.scale_bytes(row) + out.layout.group_scale_bytes(1), &scale, sizeof scale);
  }
  return fits;
}

inline BandBuffers scalar_quantize(const QuantSpec& spec, const MatrixView& band, float tensor_amax) {
  BandBuffers out(spec, band.rows, band.columns);
  if (band.elements() == 0) return out;
  const ScalarPlaces places(spec, band.rows, band.columns);
  std::vector<float> values = scalar_values(spec, band);
  const bool grouped = out.layout.has_group_scales();
  std::vector<std::uint32_t> largest(grouped ? out.layout.scale_count(band.rows) : 1, grouped ? 0 : codec::bits(tensor_amax));
  if (spec.format->storage().row_scales) {
    largest = scalar_fits(spec, band.rows, band.columns, values, out);
  } else {
    for (std::size_t i = 0; i < values.size() && grouped; ++i) {
      std::uint32_t& group = largest[places.group(i)];
      group = std::max(group, codec::bits(values[i]) & codec::kMagnitudeMask);
    }
  }
  const formats::ScaleRules& rules = formats::scale_rules(*spec.format);
  const float tensor = rules.tensor(tensor_amax);
  const std::uint32_t width = spec.format->storage().scale_bytes;
  const std::uint64_t across = std::max<std::uint64_t>(out.layout.groups_across(), 1);
  for (std::size_t g = 0; g < largest.size() && grouped; ++g) {
    const std::uint32_t stored = rules.group(codec::from_bits(largest[g]), tensor).stored;
    std::memcpy(out.scales.data() + g * width + g / across * out.layout.row_scale_bytes(), &stored, width);
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
  const ScalarScales scaled(spec, rows, columns, scales, tensor_scale);
  std::vector<float> values(rows * columns);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = scalar_format(*spec.format).decode(places.get(codes, i), scaled.operands[places.group(i)]);
    if (spec.format->storage().row_scales) values[i] *= scaled.of_rows[i / columns];
  }
  return values;
}

}  // namespace halftone::test
