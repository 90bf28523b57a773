#include "exec/rotation_errors.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>

#include <halftone/codec/hd.hpp>

#include "base/parallel.hpp"
#include "exec/bands.hpp"
#include "exec/layer_output.hpp"
#include "exec/store_floats.hpp"
#include "exec/weight_source.hpp"
#include "formats/layer_layout.hpp"

namespace halftone::exec {
namespace {

/// Sums side by side in a row; it decides which of two nearly equal forms is taken.
constexpr std::uint64_t kLanes = 8;

/// The sum of weights[i] · (values[i] - row[i])², in one order.
double squared_error(std::span<const float> values, const float* row, const std::vector<float>& weights) {
  double lanes[kLanes] = {};
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    const double error = static_cast<double>(values[i]) - static_cast<double>(row[i]);
    const double square = error * error;
    lanes[i % kLanes] += weights.empty() ? square : square * static_cast<double>(weights[i]);
  }
  for (std::uint64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::uint64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

/// One of the forms of a weight, and what its rows lose.
class Form {
 public:
  Form(const QuantSpec& spec, std::uint64_t rows) : spec_(spec), errors_(rows) {}

  /// Measures `part`, the rows from `first` on, whose values are `floats`.
  void add(const Backend& backend, const MatrixView& part, std::uint64_t first, const std::vector<float>& floats,
           const std::vector<float>& weights) {
    const formats::LayerLayout layout(spec_, part.rows, part.columns);
    std::vector<std::byte> codes(layout.code_bytes(part.rows));
    std::vector<std::byte> scales(layout.scale_bytes(part.rows));
    std::vector<float> values(part.elements());
    raise(largest_, backend.quantize(spec_, part, 0.0F, {codes.data(), scales.data()}));
    backend.dequantize(spec_, {codes.data(), spec_.format->facts().code_dtype, part.rows, part.columns}, scales.data(), 0.0F,
                       values.data());
    for (std::uint64_t row = 0; row < part.rows; ++row) {
      const std::uint64_t at = row * part.columns;
      errors_[first + row] = squared_error(std::span(values).subspan(at, part.columns), floats.data() + at, weights);
    }
  }

  /// The largest magnitude met, as the form sees it: of rotated weights.
  [[nodiscard]] bool is_finite() const noexcept { return largest_ < codec::kInfinityBits; }
  [[nodiscard]] double error() const {
    if (!is_finite()) return std::numeric_limits<double>::infinity();
    return std::accumulate(errors_.begin(), errors_.end(), 0.0);
  }

 private:
  const QuantSpec& spec_;
  std::atomic<std::uint32_t> largest_{0};
  std::vector<double> errors_;  ///< of rows
};

[[noreturn]] void refuse(const ModelTensor& tensor, float value, const Context& context) {
  fail(ErrorKind::bad_statistics, "'{}': the tensor '{}' gives a column the mean square {}, which is none",
       context.statistics->path().string(), tensor.info.name, value);
}

}  // namespace

std::vector<float> mean_squares(const LayerStatistics& statistics, const Context& context) {
  const std::optional<ModelTensor>& tensor = statistics.second_moment ? statistics.second_moment : statistics.diagonal;
  if (!tensor) return {};
  const std::uint64_t n = tensor->info.shape[0];
  const std::uint64_t element = bits_of(tensor->info.dtype) / 8;
  const std::uint64_t step = statistics.second_moment ? (n + 1) * element : element;
  const std::span<const std::byte> bytes = context.statistics->bytes(*tensor);
  std::vector<std::byte> diagonal(n * element);
  for (std::uint64_t i = 0; i < n; ++i) std::memcpy(diagonal.data() + i * element, bytes.data() + i * step, element);
  context.statistics->check();
  std::vector<float> squares(n);
  context.backend.to_float(tensor->info.dtype, diagonal.data(), n, squares.data());
  for (const float square : squares) {
    if (!std::isfinite(square) || square < 0.0F) refuse(*tensor, square, context);
  }
  const bool is_zero = std::all_of(squares.begin(), squares.end(), [](float square) { return square == 0.0F; });
  return is_zero ? std::vector<float>() : squares;
}

std::uint64_t rotation_errors_memory(const Job& job) {
  const std::uint64_t elements = std::max(kFloatChunk, weight_shape(job)[1]);
  // The weight as it is decoded, as floats, rotated and restored, and its codes.
  return 5 * elements * sizeof(float);
}

RotationErrors rotation_errors(const Job& job, const QuantSpec& plain, const std::vector<float>& weights, const Context& context,
                               unsigned threads, RunControl& control) {
  const WeightSource source(job, context);
  const TensorInfo& weight = source.info();
  const std::uint64_t columns = weight.shape[1];
  const std::uint64_t row_bytes = columns * bits_of(weight.dtype) / 8;
  const Bands bands(weight.shape[0], row_bytes, 1, context.band_bytes);
  Form rotated(job.spec, weight.shape[0]);
  Form unrotated(plain, weight.shape[0]);
  base::parallel_for(bands.count(), threads, [&](std::size_t band) {
    context.check_stop();
    const WeightSource::Band in(source, bands.first(band) * columns, bands.size(band) * columns, false);
    const Bands chunks(bands.size(band), columns, 1, kFloatChunk);
    std::vector<float> floats(chunks.size(0) * columns);
    for (std::uint64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const MatrixView part{in.data() + chunks.first(chunk) * row_bytes, weight.dtype, chunks.size(chunk), columns};
      const std::uint64_t first = bands.first(band) + chunks.first(chunk);
      context.backend.to_float(part.dtype, part.data, part.elements(), floats.data());
      rotated.add(context.backend, part, first, floats, weights);
      unrotated.add(context.backend, part, first, floats, weights);
    }
    in.check();
    control.done_bytes += bands.size(band) * row_bytes;
  });
  if (!unrotated.is_finite()) source.reject_first_beyond(std::numeric_limits<float>::infinity());
  return {rotated.error(), unrotated.error(), !weights.empty()};
}

}  // namespace halftone::exec
