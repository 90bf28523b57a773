#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/codec/half.hpp>

#include "base/checked.hpp"
#include "formats/all_formats.hpp"

namespace halftone::test {

// What a backend must compute, one element at a time and without kernels: the same scalar
// functions of format.hpp, compiled for the baseline instruction set of the test.

/// The maths of one format as functions.
struct ScalarFormat {
  formats::Scale (*scale)(float amax);
  std::uint32_t (*encode)(float weight, float scale);
  float (*decode)(std::uint8_t code, float stored);
};

template <class Format>
ScalarFormat scalar_format_of() {
  return {[](float amax) { return Format::scale_from_amax(amax); }, [](float weight, float scale) { return Format::encode(weight, scale); },
          [](std::uint8_t code, float stored) { return Format::decode(code, stored); }};
}

inline ScalarFormat scalar_format(const FormatDescriptor& format) {
  static const std::vector<ScalarFormat> all = {
#define HALFTONE_FORMAT(folder) scalar_format_of<formats::folder::Format>(),
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

/// Codes and scales of a band; no scales where the format has one for the whole tensor or none.
struct ScalarResult {
  std::string codes;
  std::vector<float> scales;
};

/// Index of the scale of an element, and the number of scales of a band; an empty one has none.
struct Groups {
  Groups(const QuantSpec& spec, const MatrixView& band)
      : grid(spec.format->grid()), side(std::max(spec.block_size, 1U)), columns(band.columns) {
    if (band.elements() == 0) return;
    if (grid == ScaleGrid::row) count = band.rows;
    if (grid == ScaleGrid::block) count = base::ceil_div(band.rows, side) * base::ceil_div(columns, side);
  }
  [[nodiscard]] std::size_t of(std::size_t element) const {
    const std::size_t row = element / columns;
    const std::size_t column = element % columns;
    if (grid == ScaleGrid::row) return row;
    return grid == ScaleGrid::block ? row / side * base::ceil_div(columns, side) + column / side : 0;
  }
  ScaleGrid grid;
  std::uint64_t side;
  std::uint64_t columns;
  std::size_t count = 0;
};

inline ScalarResult scalar_quantize(const QuantSpec& spec, const MatrixView& band, float tensor_amax) {
  const ScalarFormat format = scalar_format(*spec.format);
  const Groups groups(spec, band);
  std::vector<std::uint32_t> largest(std::max<std::size_t>(groups.count, 1), codec::bits(tensor_amax));
  if (groups.count != 0) std::fill(largest.begin(), largest.end(), 0);
  for (std::size_t i = 0; i < band.elements() && groups.count != 0; ++i) {
    std::uint32_t& group = largest[groups.of(i)];
    group = std::max(group, codec::bits(scalar_load(band.dtype, band.data, i)) & codec::kMagnitudeMask);
  }
  ScalarResult result;
  for (std::size_t g = 0; g < groups.count; ++g) result.scales.push_back(format.scale(codec::from_bits(largest[g])).stored);
  for (std::size_t i = 0; i < band.elements(); ++i) {
    const float scale = format.scale(codec::from_bits(largest[groups.of(i)])).encode;
    result.codes += static_cast<char>(format.encode(scalar_load(band.dtype, band.data, i), scale));
  }
  return result;
}

}  // namespace halftone::test
