#include "exec/candidate_errors.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <halftone/codec/hd.hpp>

#include "exec/bands.hpp"
#include "exec/store_floats.hpp"
#include "formats/layer_layout.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::exec {
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

/// 2^-e for a magnitude of 2^e to 2^(e+1), within what binary32 has.
float unit_of(float amax) {
  const int exponent = amax > 0.0F ? std::ilogb(amax) : 0;
  return std::ldexp(1.0F, std::clamp(-exponent, -126, 126));
}

}  // namespace

CandidateErrors::CandidateErrors(const Backend& backend, const QuantSpec& spec, float amax)
    : backend_(backend),
      spec_(spec),
      amax_(amax),
      unit_(unit_of(amax)),
      sums_(static_cast<std::size_t>(formats::scale_rules(*spec.format).tensor_candidates)) {}

bool CandidateErrors::are_needed(const QuantSpec& spec) noexcept {
  return spec.scales == ScaleMethod::search && formats::scale_rules(*spec.format).tensor_candidates > 1;
}

std::uint64_t CandidateErrors::memory_bytes(const QuantSpec& spec, std::uint64_t columns) {
  const formats::LayerLayout layout(spec, 1, columns);
  return 2 * columns * sizeof(float) + layout.code_bytes(1) + layout.scale_bytes(1);
}

float CandidateErrors::amax_of(std::size_t candidate) const {
  const float amax = amax_ * formats::scale_rules(*spec_.format).tensor_factor(static_cast<int>(candidate));
  return std::min(amax, std::numeric_limits<float>::max());  // a factor above 1 must not make it infinite
}

void CandidateErrors::add(const MatrixView& band) {
  const std::uint64_t row_bytes = band.columns * bits_of(band.dtype) / 8;
  const Bands chunks(band.rows, band.columns, 1, kFloatChunk);
  const formats::LayerLayout layout(spec_, band.rows, band.columns);
  std::vector<float> weights(chunks.size(0) * band.columns);
  std::vector<float> values(weights.size());
  std::vector<std::byte> codes(layout.code_bytes(chunks.size(0)));
  std::vector<std::byte> scales(layout.scale_bytes(chunks.size(0)));
  std::vector<Sum> sums(sums_.size());
  for (std::uint64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    const std::uint64_t rows = chunks.size(chunk);
    const MatrixView part{band.data + chunks.first(chunk) * row_bytes, band.dtype, rows, band.columns};
    backend_.to_float(part.dtype, part.data, part.elements(), weights.data());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      backend_.quantize(spec_, part, amax_of(i), {codes.data(), scales.data()});
      backend_.dequantize(spec_, {codes.data(), spec_.format->facts().code_dtype, rows, band.columns}, scales.data(),
                          tensor_scale(*spec_.format, amax_of(i)), values.data());
      for (std::uint64_t row = 0; row < rows; ++row) {
        const std::uint64_t at = row * band.columns;
        sums[i] += static_cast<Sum>(std::ldexp(squared_error(values.data() + at, weights.data() + at, band.columns, unit_), 60));
      }
    }
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < sums.size(); ++i) sums_[i] += sums[i];
}

float CandidateErrors::best_amax() const {
  return amax_of(static_cast<std::size_t>(std::min_element(sums_.begin(), sums_.end()) - sums_.begin()));
}

}  // namespace halftone::exec
