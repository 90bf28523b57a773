#include "cpu/cpu_backend.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <halftone/codec/hd.hpp>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "cpu/learn/engine.hpp"
#include "cpu/row_errors.hpp"
#include "cpu/scale_search.hpp"
#include "cpu/strips.hpp"
#include "formats/float_types.hpp"
#include "formats/layer_layout.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::cpu {
namespace {

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const KernelTable& kernels) : kernels_(kernels), name_(fmt::format("cpu ({})", kernels.instruction_set)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] DeviceKind kind() const noexcept override { return DeviceKind::cpu; }
  [[nodiscard]] std::string_view product() const noexcept override { return "cpu"; }

  [[nodiscard]] Support supports(const QuantSpec&, Dtype source) const override {
    if (is_source_float(source)) return {};
    return {false, fmt::format("the CPU quantizes {}, not {}", formats::source_floats(), name_of(source))};
  }

  [[nodiscard]] std::uint32_t max_magnitude(const MatrixView& band) const override {
    std::uint32_t largest = 0;
    max_of(band.dtype)(band.data, 0, 1, band.elements(), std::max<std::uint64_t>(band.elements(), 1), &largest);
    return largest;
  }

  std::uint32_t quantize(const QuantSpec& spec, const MatrixView& band, float tensor_amax, const QuantizedBand& out) const override {
    if (spec.rotation_group != 0) return quantize_rotated(spec, band, tensor_amax, out);
    switch (spec.format->grid()) {
      case ScaleGrid::none: return quantize_unscaled(spec, band, out);
      case ScaleGrid::tensor: return quantize_tensor(spec, band, tensor_amax, out);
      case ScaleGrid::row:
      case ScaleGrid::block:
      case ScaleGrid::run: return quantize_groups(spec, band, tensor_amax, out);
    }
    fail(ErrorKind::internal, "the format {} has an unknown grid", spec.format->name());
  }

  void dequantize(const QuantSpec& spec, const MatrixView& band, const std::byte* scales, float tensor_scale, float* out) const override {
    const formats::LayerLayout layout(spec, band.rows, band.columns);
    const std::uint64_t across = std::max<std::uint64_t>(layout.groups_across(), 1);
    const auto decode = kernels_.decode[spec.format->index()];
    const auto operand = formats::scale_rules(*spec.format).operand;
    const std::uint32_t scale_bytes = spec.format->storage().scale_bytes;
    const std::uint64_t row_scale_bytes = layout.row_scale_bytes();
    std::vector<float> operands(across, tensor_scale);
    for (std::uint64_t row = 0; row < band.rows; ++row) {
      for (std::uint64_t g = 0; g < across && layout.has_group_scales(); ++g) {
        std::uint32_t stored = 0;
        std::memcpy(&stored, scales + (layout.first_scale(row) + g) * scale_bytes + row * row_scale_bytes, scale_bytes);
        operands[g] = operand(stored, tensor_scale);
      }
      float* values = out + row * band.columns;
      decode(band.data + layout.code_bytes(row), band.columns, std::max<std::uint64_t>(layout.group_columns(), 1), operands.data(), values);
      if (row_scale_bytes != 0) {
        float of_row = 1.0F;
        std::memcpy(&of_row, scales + layout.scale_bytes(row) + layout.group_scale_bytes(1), sizeof of_row);
        for (std::uint64_t i = 0; i < band.columns; ++i) values[i] *= of_row;
      }
      if (spec.rotation_group != 0) kernels_.rotate(values, band.columns, spec.rotation_group);
    }
  }

  void add_squared_errors(const QuantSpec& spec, const MatrixView& band, std::span<const float> tensor_amaxes, float unit,
                          std::span<ErrorSum> sums) const override {
    add_row_errors(*this, spec, band, tensor_amaxes, unit, sums);
  }

  void to_float(Dtype source, const std::byte* data, std::uint64_t n, float* out) const override {
    kernels_.to_float[formats::float_index(source)](data, n, out);
  }

  [[nodiscard]] std::shared_ptr<learn::Engine> make_engine(std::uint64_t /*bytes*/) const override { return cpu::make_engine(*this); }

  void from_float(const float* data, std::uint64_t n, Dtype target, std::byte* out) const override {
    switch (target) {
      case Dtype::F32: std::copy_n(reinterpret_cast<const std::byte*>(data), n * sizeof(float), out); return;
      case Dtype::BF16: return kernels_.to_bf16(data, n, out);
      case Dtype::F16: return kernels_.to_f16(data, n, out);
      default: fail(ErrorKind::internal, "the CPU kernels write no {}", name_of(target));
    }
  }

 private:
  /// Working memory of quantize_strip(), kept from one call to the next.
  struct Groups {
    std::vector<std::uint32_t> largest;
    std::vector<float> operands;
    std::vector<formats::AnyScale> scales;
  };
  using MaxMagnitude = decltype(KernelTable::max_magnitude[0]);

  [[nodiscard]] auto encode_of(const QuantSpec& spec, Dtype source) const {
    return kernels_.encode[spec.format->index()][formats::float_index(source)];
  }
  [[nodiscard]] std::decay_t<MaxMagnitude> max_of(Dtype source) const { return kernels_.max_magnitude[formats::float_index(source)]; }

  /// All elements of the band with one scale operand.
  void encode_band(const QuantSpec& spec, const MatrixView& band, float scale, std::byte* codes) const {
    encode_of(spec, band.dtype)(band.data, band.elements(), std::max<std::uint64_t>(band.elements(), 1), &scale, codes, kAhead);
  }

  [[nodiscard]] std::uint32_t quantize_unscaled(const QuantSpec& spec, const MatrixView& band, const QuantizedBand& out) const {
    std::uint32_t largest = 0;
    // Row by row, so that the second reading of a row finds it in a cache.
    for (std::uint64_t row = 0; row < band.rows; ++row) {
      const MatrixView part = rows_of(band, row, 1);
      encode_band(spec, part, 1.0F, out.codes + row * band.columns);
      largest = std::max(largest, max_magnitude(part));
    }
    return largest;
  }

  [[nodiscard]] std::uint32_t quantize_tensor(const QuantSpec& spec, const MatrixView& band, float amax, const QuantizedBand& out) const {
    encode_band(spec, band, formats::scale_rules(*spec.format).group(amax, 1.0F).encode, out.codes);
    return codec::bits(amax);
  }

  [[nodiscard]] std::uint32_t quantize_groups(const QuantSpec& spec, const MatrixView& band, float tensor_amax,
                                              const QuantizedBand& out) const {
    if (band.elements() == 0) return 0;
    const formats::LayerLayout layout(spec, band.rows, band.columns);
    const float tensor = formats::scale_rules(*spec.format).tensor(tensor_amax);
    const std::uint32_t scale_bytes = spec.format->storage().scale_bytes;
    const Strips strips(layout, bits_of(band.dtype) / 8);
    std::uint32_t largest = 0;
    Groups groups;
    for (std::uint64_t row = 0; row < band.rows; row += strips.rows) {
      const std::uint64_t rows = std::min(strips.rows, band.rows - row);
      std::byte* codes = out.codes + layout.code_bytes(row);
      clear_padding(layout, rows, codes);
      // Rows that are one group each follow one another without a gap: they are one long row of groups.
      const bool merged = strips.rows > 1 && layout.group_rows() == 1;
      const std::uint64_t columns = merged ? rows * band.columns : band.columns;
      for (std::uint64_t column = 0; column < columns; column += strips.columns) {
        largest = std::max(largest,
                           quantize_strip(spec, tensor,
                                          {.source = rows_of(band, row, 1).data + column * strips.element_bytes,
                                           .dtype = band.dtype,
                                           .height = merged ? 1 : rows,
                                           .columns = std::min(strips.columns, columns - column),
                                           .source_stride = band.columns * strips.element_bytes,
                                           .width = layout.group_columns(),
                                           .codes = codes + column * spec.format->storage().code_bits / 8,
                                           .code_stride = layout.code_bytes(1),
                                           .scales = out.scales + (layout.first_scale(row) + column / layout.group_columns()) * scale_bytes,
                                           .ahead = strips.ahead},
                                          groups));
      }
    }
    return largest;
  }

  /// Codes of 0 for the columns that padding adds.
  static void clear_padding(const formats::LayerLayout& layout, std::uint64_t rows, std::byte* codes) {
    if (layout.padded_columns() != layout.columns()) std::memset(codes, 0, layout.code_bytes(rows));
  }

  /// Rotates in binary32 and quantizes the result, a few rows at a time.
  [[nodiscard]] std::uint32_t quantize_rotated(const QuantSpec& spec, const MatrixView& band, float tensor_amax,
                                               const QuantizedBand& out) const {
    if (band.elements() == 0) return 0;
    constexpr std::uint64_t chunk = 16384;
    const formats::LayerLayout layout(spec, band.rows, band.columns);
    const std::uint64_t step = std::max<std::uint64_t>(chunk / band.columns, 1);
    QuantSpec plain = spec;
    plain.rotation_group = 0;
    std::vector<float> values(std::min(step, band.rows) * band.columns);
    std::uint32_t largest = 0;
    for (std::uint64_t row = 0; row < band.rows; row += step) {
      const MatrixView rows = rows_of(band, row, std::min(step, band.rows - row));
      largest = std::max(largest, max_magnitude(rows));
      to_float(rows.dtype, rows.data, rows.elements(), values.data());
      kernels_.rotate(values.data(), rows.elements(), spec.rotation_group);
      const MatrixView rotated{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, rows.rows, rows.columns};
      const QuantizedBand part{out.codes + layout.code_bytes(row), out.scales + layout.scale_bytes(row)};
      if (layout.row_scale_bytes() != 0) {
        largest = std::max(largest, max_magnitude(rotated));
        quantize_fitted(plain, values.data(), layout, rows.rows, part);
      } else {
        largest = std::max(largest, quantize_groups(plain, rotated, tensor_amax, part));
      }
    }
    return largest;
  }

  /// `rows` rows whose scales are fitted; `values` are left in units of them.
  void quantize_fitted(const QuantSpec& spec, float* values, const formats::LayerLayout& layout, std::uint64_t rows,
                       const QuantizedBand& out) const {
    const std::uint64_t columns = layout.columns();
    Groups groups;
    std::vector<float> fitted(layout.groups_across());
    for (std::uint64_t row = 0; row < rows; ++row, values += columns) {
      const float largest = kernels_.fit[spec.format->index()](values, columns, layout.group_columns(), fitted.data());
      const float scale = formats::scale_rules(*spec.format).row(largest);
      for (std::uint64_t i = 0; i < columns; ++i) values[i] /= scale;
      groups.largest.resize(fitted.size());
      for (std::size_t g = 0; g < fitted.size(); ++g) groups.largest[g] = codec::bits(fitted[g] / scale);
      std::byte* scales = out.scales + layout.scale_bytes(row);
      std::memcpy(scales + layout.group_scale_bytes(1), &scale, sizeof scale);
      encode_strip(spec, 1.0F,
                   {.source = reinterpret_cast<const std::byte*>(values),
                    .dtype = Dtype::F32,
                    .height = 1,
                    .columns = columns,
                    .source_stride = columns * sizeof(float),
                    .width = layout.group_columns(),
                    .codes = out.codes + layout.code_bytes(row),
                    .code_stride = layout.code_bytes(1),
                    .scales = scales,
                    .ahead = 0},
                   groups);
    }
  }

  [[nodiscard]] static MatrixView rows_of(const MatrixView& band, std::uint64_t first, std::uint64_t rows) {
    return {band.data + first * band.columns * bits_of(band.dtype) / 8, band.dtype, rows, band.columns};
  }

  /// Returns the largest magnitude.
  [[nodiscard]] std::uint32_t quantize_strip(const QuantSpec& spec, float tensor, const Strip& strip, Groups& groups) const {
    groups.largest.assign(base::ceil_div(strip.columns, strip.width), 0);
    max_of(strip.dtype)(strip.source, strip.source_stride, strip.height, strip.columns, strip.width, groups.largest.data());
    encode_strip(spec, tensor, strip, groups);
    return *std::max_element(groups.largest.begin(), groups.largest.end());
  }

  /// Scales, of the magnitudes in `groups`, and codes.
  void encode_strip(const QuantSpec& spec, float tensor, const Strip& strip, Groups& groups) const {
    auto& [largest, operands, scales] = groups;
    const std::uint64_t across = largest.size();
    operands.resize(across);
    scales.resize(across);
    const auto scale_of = formats::scale_rules(*spec.format).group;
    for (std::uint64_t g = 0; g < across; ++g) scales[g] = scale_of(codec::from_bits(largest[g]), tensor);
    if (spec.scales == ScaleMethod::search) search_scales(kernels_, spec, tensor, strip, largest, scales);
    const std::uint32_t scale_bytes = spec.format->storage().scale_bytes;
    for (std::uint64_t g = 0; g < across; ++g) {
      operands[g] = scales[g].encode;
      std::memcpy(strip.scales + g * scale_bytes, &scales[g].stored, scale_bytes);
    }
    const auto encode = encode_of(spec, strip.dtype);
    for (std::uint64_t r = 0; r < strip.height; ++r) {
      encode(strip.source + r * strip.source_stride, strip.columns, strip.width, operands.data(), strip.codes + r * strip.code_stride,
             strip.ahead);
    }
  }

  const KernelTable& kernels_;
  std::string name_;
};

}  // namespace

std::vector<const KernelTable*> usable_kernels() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
  if (avx2 && avx512) tables.push_back(&kAvx512Kernels);
  if (avx2) tables.push_back(&kAvx2Kernels);
#endif
  tables.push_back(&kBaselineKernels);
  return tables;
}

std::unique_ptr<Backend> make_backend(const KernelTable& kernels) { return std::make_unique<CpuBackend>(kernels); }

std::unique_ptr<Backend> make_backend() { return make_backend(*usable_kernels().front()); }

}  // namespace halftone::cpu
