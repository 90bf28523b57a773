#include "allocate/layer_errors.hpp"

#include <algorithm>
#include <numeric>

#include <halftone/codec/hd.hpp>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "eval/error_figures.hpp"
#include "eval/original_weight.hpp"
#include "eval/row_bands.hpp"
#include "eval/yardstick.hpp"
#include "learn/engine.hpp"
#include "learn/memory.hpp"

namespace halftone::allocate {
namespace {

/// Σ rows e S eᵀ of rows × columns values.
double energy(const InputMoments& moments, const std::vector<float>& values, std::uint64_t columns) {
  const std::uint64_t rows = values.size() / columns;
  if (moments.second.data != nullptr) {
    learn::Memory memory(*moments.engine);
    const learn::Matrix e = memory.matrix_of(values.data(), rows, columns);
    const learn::Matrix product = memory.matrix(rows, columns);
    moments.engine->multiply({.a = e, .b = moments.second, .c = product, .full_precision = true});
    return moments.engine->inner(product, e);
  }
  double sum = 0;
  for (std::uint64_t i = 0; i < values.size(); ++i) {
    const double value = static_cast<double>(values[i]);
    sum += value * value * (moments.diagonal.empty() ? 1.0 : static_cast<double>(moments.diagonal[i % columns]));
  }
  return sum;
}

std::vector<eval::Yardstick> yardsticks(const Backend& backend, std::span<const QuantSpec> specs, std::uint64_t columns, float amax) {
  std::vector<eval::Yardstick> result;
  for (const QuantSpec& spec : specs) result.emplace_back(backend, spec, columns, amax);
  return result;
}

}  // namespace

LayerErrors measure(const eval::FloatModel& model, const ModelTensor& tensor, const Backend& backend, std::span<const QuantSpec> specs,
                    const InputMoments& moments, const std::atomic<bool>& stop) {
  const formats::Extent extent = formats::extent_of(model.shape_of(tensor));
  if (extent.rows == 0 || extent.columns == 0) return {.of_specs = std::vector<SpecError>(specs.size())};
  const std::uint32_t largest = eval::largest_magnitude(model, tensor, backend, stop);
  if (largest >= codec::kInfinityBits) {
    fail(ErrorKind::not_finite, "the tensor '{}' holds NaN or infinity, so that it cannot be quantized", base::printable(tensor.info.name));
  }
  std::vector<eval::Yardstick> restored = yardsticks(backend, specs, extent.columns, codec::from_bits(largest));
  std::uint64_t multiple = model.row_multiple(tensor);
  for (const eval::Yardstick& yardstick : restored) multiple = std::lcm(multiple, yardstick.row_multiple());
  LayerErrors errors{.of_specs = std::vector<SpecError>(specs.size())};
  std::vector<float> weight;
  std::vector<float> values;
  eval::for_each_band(stop, extent, multiple, [&](std::uint64_t first, std::uint64_t count) {
    weight.resize(count * extent.columns);
    values.resize(weight.size());
    model.read(tensor, first, count, weight.data());
    errors.output_signal += energy(moments, weight, extent.columns);
    for (std::size_t i = 0; i < specs.size(); ++i) {
      restored[i].restore(weight.data(), count, values.data());
      eval::accumulate(errors.of_specs[i].figures, weight.data(), values.data(), weight.size());
      for (std::size_t at = 0; at < values.size(); ++at) values[at] -= weight[at];
      errors.of_specs[i].output_noise += energy(moments, values, extent.columns);
    }
  });
  return errors;
}

}  // namespace halftone::allocate
