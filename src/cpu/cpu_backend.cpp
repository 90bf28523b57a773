#include "cpu/cpu_backend.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <halftone/codec/hd.hpp>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "formats/format_ops.hpp"

namespace halftone::cpu {
namespace {

SourceIndex source_index(Dtype dtype) {
  switch (dtype) {
    case Dtype::F64: return kF64;
    case Dtype::F32: return kF32;
    case Dtype::BF16: return kBf16;
    case Dtype::F16: return kF16;
    default: fail(ErrorKind::internal, "the CPU kernels read no {}", name_of(dtype));
  }
}

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const KernelTable& kernels) : kernels_(kernels), name_(fmt::format("cpu ({})", kernels.instruction_set)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }

  [[nodiscard]] Support supports(const QuantSpec&, Dtype source) const override {
    if (is_source_float(source)) return {};
    return {false, fmt::format("the CPU quantizes F64, F32, BF16 and F16, not {}", name_of(source))};
  }

  [[nodiscard]] std::uint32_t max_magnitude(const MatrixView& band) const override {
    std::uint32_t largest = 0;
    max_of(band.dtype)(band.data, band.elements(), std::max<std::uint64_t>(band.elements(), 1), &largest);
    return largest;
  }

  std::uint32_t quantize(const QuantSpec& spec, const MatrixView& band, float tensor_amax, const QuantizedBand& out) const override {
    switch (spec.format->grid()) {
      case ScaleGrid::none: return quantize_unscaled(spec, band, out);
      case ScaleGrid::tensor: return quantize_tensor(spec, band, tensor_amax, out);
      case ScaleGrid::row: return quantize_rows(spec, band, out);
      case ScaleGrid::block: return quantize_blocks(spec, band, out);
    }
    return 0;
  }

  void dequantize(const QuantSpec& spec, const MatrixView& band, const float* scales, float* out) const override {
    const auto decode = kernels_.decode[spec.format->index()];
    const std::uint64_t columns = band.columns;
    switch (spec.format->grid()) {
      case ScaleGrid::none: return decode(band.data, band.elements(), 1.0F, out);
      case ScaleGrid::tensor: return decode(band.data, band.elements(), scales[0], out);
      case ScaleGrid::row:
        for (std::uint64_t r = 0; r < band.rows; ++r) decode(band.data + r * columns, columns, scales[r], out + r * columns);
        return;
      case ScaleGrid::block: {
        const std::uint64_t side = spec.block_size;
        const std::uint64_t groups = base::ceil_div(columns, side);
        for (std::uint64_t r = 0; r < band.rows; ++r) {
          for (std::uint64_t g = 0; g < groups; ++g) {
            const std::uint64_t at = r * columns + g * side;
            decode(band.data + at, std::min(side, columns - g * side), scales[r / side * groups + g], out + at);
          }
        }
        return;
      }
    }
  }

  void to_float(Dtype source, const std::byte* data, std::uint64_t n, float* out) const override {
    kernels_.to_float[source_index(source)](data, n, out);
  }

  void from_float(const float* data, std::uint64_t n, Dtype target, std::byte* out) const override {
    switch (target) {
      case Dtype::F32: std::copy_n(reinterpret_cast<const std::byte*>(data), n * sizeof(float), out); return;
      case Dtype::BF16: return kernels_.to_bf16(data, n, out);
      case Dtype::F16: return kernels_.to_f16(data, n, out);
      default: fail(ErrorKind::internal, "the CPU kernels write no {}", name_of(target));
    }
  }

 private:
  /// Working memory of quantize_groups(), kept from one call to the next.
  struct Groups {
    std::vector<std::uint32_t> largest;
    std::vector<float> operands;
  };
  using MaxMagnitude = decltype(KernelTable::max_magnitude[0]);

  [[nodiscard]] auto encode_of(const QuantSpec& spec, Dtype source) const {
    return kernels_.encode[spec.format->index()][source_index(source)];
  }
  [[nodiscard]] std::decay_t<MaxMagnitude> max_of(Dtype source) const { return kernels_.max_magnitude[source_index(source)]; }

  /// All elements of the band with one scale operand.
  void encode_band(const QuantSpec& spec, const MatrixView& band, float scale, std::byte* codes) const {
    encode_of(spec, band.dtype)(band.data, band.elements(), std::max<std::uint64_t>(band.elements(), 1), &scale, codes);
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
    encode_band(spec, band, formats::scale_rule(*spec.format)(amax).encode, out.codes);
    return codec::bits(amax);
  }

  [[nodiscard]] std::uint32_t quantize_rows(const QuantSpec& spec, const MatrixView& band, const QuantizedBand& out) const {
    std::uint32_t largest = 0;
    Groups groups;
    for (std::uint64_t row = 0; row < band.rows; ++row) {
      const QuantizedBand part{out.codes + row * band.columns, out.scales + row};
      largest = std::max(largest, quantize_groups(spec, rows_of(band, row, 1), band.columns, part, groups));
    }
    return largest;
  }

  [[nodiscard]] std::uint32_t quantize_blocks(const QuantSpec& spec, const MatrixView& band, const QuantizedBand& out) const {
    const std::uint64_t side = spec.block_size;
    const std::uint64_t across = base::ceil_div(band.columns, side);
    std::uint32_t largest = 0;
    Groups groups;
    for (std::uint64_t row = 0; row < band.rows; row += side) {
      const MatrixView blocks = rows_of(band, row, std::min(side, band.rows - row));
      const QuantizedBand part{out.codes + row * band.columns, out.scales + row / side * across};
      largest = std::max(largest, quantize_groups(spec, blocks, side, part, groups));
    }
    return largest;
  }

  [[nodiscard]] static MatrixView rows_of(const MatrixView& band, std::uint64_t first, std::uint64_t rows) {
    return {band.data + first * band.columns * bits_of(band.dtype) / 8, band.dtype, rows, band.columns};
  }

  /// Quantizes `band`, whose columns are cut into groups of `width`; each group over all its rows
  /// shares a scale.
  [[nodiscard]] std::uint32_t quantize_groups(const QuantSpec& spec, const MatrixView& band, std::uint64_t width, const QuantizedBand& out,
                                              Groups& groups) const {
    if (band.elements() == 0) return 0;
    const std::uint64_t across = base::ceil_div(band.columns, width);
    auto& [largest, operands] = groups;
    largest.assign(across, 0);
    operands.resize(across);
    const auto max_of_row = max_of(band.dtype);
    for (std::uint64_t r = 0; r < band.rows; ++r) max_of_row(rows_of(band, r, 1).data, band.columns, width, largest.data());
    const auto rule = formats::scale_rule(*spec.format);
    for (std::uint64_t g = 0; g < across; ++g) {
      const formats::Scale scale = rule(codec::from_bits(largest[g]));
      operands[g] = scale.encode;
      out.scales[g] = scale.stored;
    }
    const auto encode = encode_of(spec, band.dtype);
    for (std::uint64_t r = 0; r < band.rows; ++r) {
      encode(rows_of(band, r, 1).data, band.columns, width, operands.data(), out.codes + r * band.columns);
    }
    return *std::max_element(largest.begin(), largest.end());
  }

  const KernelTable& kernels_;
  std::string name_;
};

}  // namespace

std::vector<const KernelTable*> usable_kernels() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2");
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
