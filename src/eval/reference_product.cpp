#include "eval/reference_product.hpp"

#include "eval/row_bands.hpp"

namespace halftone::eval {
namespace {

/// Sums of a product that run side by side: the compiler may put them into a register, and the order stays one.
constexpr std::uint64_t kLanes = 8;

double dot(const double* a, const double* b, std::uint64_t n) {
  double lanes[kLanes] = {};
  std::uint64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::uint64_t l = 0; l < kLanes; ++l) lanes[l] += a[i + l] * b[i + l];
  }
  for (std::uint64_t l = 0; i < n; ++i, ++l) lanes[l] += a[i] * b[i];
  for (std::uint64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::uint64_t l = 0; l < half; ++l) lanes[l] += lanes[l + half];
  }
  return lanes[0];
}

}  // namespace

std::vector<float> reference_product(const FloatModel& model, const ModelTensor& weight, const LayerInputs& x,
                                     const std::vector<float>& bias, const std::atomic<bool>& stop) {
  const formats::Extent extent = formats::extent_of(model.shape_of(weight));
  std::vector<float> y(x.count * extent.rows);
  const std::vector<double> inputs(x.values.begin(), x.values.end());
  std::vector<float> band;
  std::vector<double> row(extent.columns);
  for_each_band(stop, extent, model.row_multiple(weight), [&](std::uint64_t first, std::uint64_t count) {
    band.resize(count * extent.columns);
    model.read(weight, first, count, band.data());
    for (std::uint64_t r = 0; r < count; ++r) {
      const float* values = band.data() + r * extent.columns;
      row.assign(values, values + extent.columns);
      const double added = bias.empty() ? 0 : static_cast<double>(bias[first + r]);
      for (std::uint64_t i = 0; i < x.count; ++i) {
        y[i * extent.rows + first + r] = static_cast<float>(dot(row.data(), inputs.data() + i * extent.columns, extent.columns) + added);
      }
    }
  });
  return y;
}

}  // namespace halftone::eval
