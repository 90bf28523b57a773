#include "cpu/row_errors.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/layer_layout.hpp"

namespace halftone::cpu {
namespace {

/// Squared errors that are added in binary32 before the sum goes on in binary64, and the sums side by side in which
/// they are.  Both decide which of two nearly equal candidates is taken.
constexpr std::uint64_t kSumElements = 512;
constexpr std::uint64_t kLanes = 16;

/// The sum of ((values[i] - weights[i]) * unit)², in one order.
double squared_error(const float* values, const float* weights, std::uint64_t n, float unit) {
  double sum = 0;
  for (std::uint64_t done = 0; done < n; done += kSumElements) {
    const std::uint64_t end = std::min(done + kSumElements, n);
    float lanes[kLanes] = {};
    std::uint64_t i = done;
    for (; i + kLanes <= end; i += kLanes) {
      for (std::uint64_t l = 0; l < kLanes; ++l) {
        const float error = (values[i + l] - weights[i + l]) * unit;
        lanes[l] += error * error;
      }
    }
    for (std::uint64_t l = 0; i < end; ++i, ++l) {
      const float error = (values[i] - weights[i]) * unit;
      lanes[l] += error * error;
    }
    for (std::uint64_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::uint64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
    }
    sum += static_cast<double>(lanes[0]);
  }
  return sum;
}

/// Weights that are handled at once, unless a row has more.
constexpr std::uint64_t kChunk = 1 << 16;

}  // namespace

void add_row_errors(const Backend& cpu, const QuantSpec& spec, const MatrixView& band, std::span<const float> tensor_amaxes, float unit,
                    std::span<ErrorSum> sums) {
  const std::uint64_t row_bytes = band.columns * bits_of(band.dtype) / 8;
  const formats::LayerLayout layout(spec, band.rows, band.columns);
  const std::uint64_t step = std::max<std::uint64_t>(kChunk / std::max<std::uint64_t>(band.columns, 1), 1);
  std::vector<float> weights(std::min(step, band.rows) * band.columns);
  std::vector<float> values(weights.size());
  std::vector<std::byte> codes(layout.code_bytes(std::min(step, band.rows)));
  std::vector<std::byte> scales(layout.scale_bytes(std::min(step, band.rows)));
  for (std::uint64_t first = 0; first < band.rows; first += step) {
    const MatrixView part{band.data + first * row_bytes, band.dtype, std::min(step, band.rows - first), band.columns};
    cpu.to_float(part.dtype, part.data, part.elements(), weights.data());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      cpu.quantize(spec, part, tensor_amaxes[i], {codes.data(), scales.data()});
      cpu.dequantize(spec, {codes.data(), spec.format->facts().code_dtype, part.rows, band.columns}, scales.data(),
                     tensor_scale(*spec.format, tensor_amaxes[i]), values.data());
      for (std::uint64_t row = 0; row < part.rows; ++row) {
        const std::uint64_t at = row * band.columns;
        sums[i] += static_cast<ErrorSum>(std::ldexp(squared_error(values.data() + at, weights.data() + at, band.columns, unit), 60));
      }
    }
  }
}

}  // namespace halftone::cpu
