#include "eval/original_weight.hpp"

#include <algorithm>
#include <vector>

#include "base/checked.hpp"
#include "eval/row_bands.hpp"

namespace halftone::eval {

void take_original_shape(formats::QuantizedLayer& layer, const Shape& original) {
  Shape& stored = layer.readable->shape;
  const std::uint64_t padding = layer.readable->spec.format->storage().padding;
  if (original.size() != 2 || stored.size() != 2) return;
  if (stored[0] == base::round_up(original[0], padding) && stored[1] == base::round_up(original[1], padding)) stored = original;
}

std::uint32_t largest_magnitude(const FloatModel& model, const ModelTensor& tensor, const Backend& backend, const std::atomic<bool>& stop) {
  std::uint32_t largest = 0;
  std::vector<float> values;
  const formats::Extent extent = formats::extent_of(model.shape_of(tensor));
  for_each_band(stop, extent, model.row_multiple(tensor), [&](std::uint64_t first, std::uint64_t count) {
    values.resize(count * extent.columns);
    model.read(tensor, first, count, values.data());
    const MatrixView band{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, count, extent.columns};
    largest = std::max(largest, backend.max_magnitude(band));
  });
  return largest;
}

}  // namespace halftone::eval
