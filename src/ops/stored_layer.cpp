#include "ops/stored_layer.hpp"

#include <cstring>
#include <span>

#include "base/fail.hpp"
#include "formats/float_types.hpp"
#include "formats/layer_names.hpp"
#include "formats/stored_matrix.hpp"

namespace halftone::ops {
namespace {

std::vector<std::byte> bytes_of(const io::ModelFiles& files, const ModelTensor* tensor) {
  if (tensor == nullptr) return {};
  const std::span<const std::byte> bytes = files.bytes(*tensor);
  return {bytes.begin(), bytes.end()};
}

/// The floats of the tensor called `name`; none where there is no such tensor.
std::vector<float> floats_of(const io::ModelFiles& files, const std::string& name, const Backend& backend) {
  const ModelTensor* tensor = files.index().find(name);
  if (tensor == nullptr) return {};
  if (!is_source_float(tensor->info.dtype)) {
    fail(ErrorKind::bad_quantization, "'{}' holds {}, not {}", name, name_of(tensor->info.dtype), formats::source_floats());
  }
  std::vector<float> values(element_count(tensor->info.shape));
  backend.to_float(tensor->info.dtype, files.bytes(*tensor).data(), values.size(), values.data());
  return values;
}

}  // namespace

LinearLayer layer_in_memory(const io::ModelFiles& files, const formats::QuantizedLayer& stored, const Backend& backend) {
  stored.require_readable();
  const formats::ReadableLayer& readable = *stored.readable;
  const formats::Extent extent = formats::extent_of(readable.shape);
  LinearLayer layer{.spec = readable.spec, .rows = extent.rows, .columns = extent.columns};
  layer.codes = bytes_of(files, stored.weight);
  layer.scales = bytes_of(files, readable.scales);
  layer.row_scales = bytes_of(files, readable.row_scales);
  layer.levels = bytes_of(files, readable.levels);
  layer.nested_scales = bytes_of(files, readable.nested_scales);
  layer.nested_levels = bytes_of(files, readable.nested_levels);
  layer.nested_offset = readable.nested_offset;
  if (const auto scale = bytes_of(files, readable.tensor_scale); !scale.empty()) {
    std::memcpy(&layer.tensor_scale, scale.data(), sizeof layer.tensor_scale);
  }
  layer.bias = floats_of(files, formats::joined(stored.base, ".bias"), backend);
  if (!layer.bias.empty() && layer.bias.size() != layer.rows) {
    fail(ErrorKind::bad_quantization, "'{}.bias' has {} elements, not one for each of the {} rows of its weight", stored.base,
         layer.bias.size(), layer.rows);
  }
  if (const auto scale = floats_of(files, formats::joined(stored.base, formats::kInputScaleSuffix), backend); scale.size() == 1) {
    layer.input_scale = scale.front();
  }
  files.check();
  return layer;
}

}  // namespace halftone::ops
