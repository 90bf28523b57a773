#include "ops/layer_operations.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/fail.hpp"
#include "formats/double_quant.hpp"
#include "formats/layer_names.hpp"
#include "formats/scale_rules.hpp"

namespace halftone {
namespace ops {
namespace {

TensorInfo weight_info(const LinearLayer& layer, const std::string& name) { return {name, layer.dtype, {layer.rows, layer.columns}, 0}; }

/// What the layer's tensors must be.
std::vector<LayerTensor> tensors_of(const LinearLayer& layer, const std::string& weight) {
  return layer.spec.format->outputs(weight_info(layer, weight), layer.spec);
}

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

std::vector<std::byte> bytes_of(float value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::vector<std::byte> largest_scale_of(const LinearLayer& layer) {
  const auto largest = std::max_element(layer.scales.begin(), layer.scales.end());
  return bytes_of(formats::largest_scale(*layer.spec.format, largest == layer.scales.end() ? 0 : std::to_integer<std::uint32_t>(*largest)));
}

std::vector<std::byte> nested_state_of(const LinearLayer& layer, std::string text) {
  // The blank stands before the closing brace.
  text.replace(text.size() - 1 - formats::kOffsetWidth, formats::kOffsetWidth, formats::offset_text(layer.nested_offset));
  return bytes_of(text);
}

/// What a format writes for every layer, unless the layer brings its own.
std::vector<std::byte> constant_of(const LinearLayer& layer, const LayerTensor& tensor) {
  if (layer.input_scale && formats::has_suffix(tensor.name, formats::kInputScaleSuffix)) return bytes_of(*layer.input_scale);
  if (!layer.levels.empty() && formats::has_suffix(tensor.name, formats::kLevelsSuffix)) return layer.levels;
  return bytes_of(tensor.bytes);
}

std::vector<std::byte> contents_of(const LinearLayer& layer, const LayerTensor& tensor) {
  switch (tensor.role) {
    case Role::codes: return layer.codes;
    case Role::scales: return layer.scales;
    case Role::tensor_scale: return bytes_of(layer.tensor_scale);
    case Role::largest_scale: return largest_scale_of(layer);
    case Role::row_scales: return layer.row_scales;
    case Role::nested_scales: return layer.nested_scales;
    case Role::nested_levels: return layer.nested_levels;
    case Role::nested_state: return nested_state_of(layer, tensor.bytes);
    case Role::levels: return layer.levels;
    case Role::bias: break;
    case Role::constant: return constant_of(layer, tensor);
  }
  fail(ErrorKind::internal, "{} writes no such tensor for a layer", layer.spec.format->name());
}

/// `cells` of `width` bytes each, rows × columns, with rows and columns exchanged.
std::vector<std::byte> exchanged(const std::vector<std::byte>& cells, std::uint64_t rows, std::uint64_t columns, std::uint64_t width) {
  std::vector<std::byte> out(cells.size());
  for (std::uint64_t row = 0; row < rows; ++row) {
    for (std::uint64_t column = 0; column < columns; ++column) {
      std::memcpy(out.data() + (column * rows + row) * width, cells.data() + (row * columns + column) * width, width);
    }
  }
  return out;
}

}  // namespace

formats::StoredMatrix matrix_of(const LinearLayer& layer, bool rotated) {
  for (const LayerTensor& tensor : tensors_of(layer, "weight")) {
    if (tensor.role != Role::codes && tensor.role != Role::scales && tensor.role != Role::row_scales) continue;
    const std::uint64_t expected = byte_count(tensor.dtype, tensor.shape);
    const std::uint64_t found = contents_of(layer, tensor).size();
    if (found == expected) continue;
    fail(ErrorKind::bad_quantization, "a layer of {} with {} rows and {} columns has a '{}' of {} bytes, not {}", layer.spec.format->name(),
         layer.rows, layer.columns, tensor.name, found, expected);
  }
  QuantSpec spec = layer.spec;
  if (rotated) spec.rotation_group = 0;
  return {spec,
          {layer.rows, layer.columns},
          layer.codes,
          layer.scales,
          layer.tensor_scale,
          {layer.row_scales, layer.levels, layer.nested_scales, layer.nested_levels, layer.nested_offset}};
}

std::vector<float> dequantize_layer(const Backend& backend, const LinearLayer& layer) {
  if (layer.scales_of_columns) {
    const std::vector<float> values = dequantize_layer(backend, transpose_layer(layer));
    std::vector<float> out(values.size());
    for (std::uint64_t row = 0; row < layer.rows; ++row) {
      for (std::uint64_t column = 0; column < layer.columns; ++column)
        out[row * layer.columns + column] = values[column * layer.rows + row];
    }
    return out;
  }
  std::vector<float> out(layer.rows * layer.columns);
  matrix_of(layer).read(backend, 0, layer.rows, out.data());
  return out;
}

std::vector<PlainTensor> plain_tensors_of(const LinearLayer& layer, const std::string& weight) {
  if (layer.scales_of_columns) {
    fail(ErrorKind::unsupported, "a transposed layer of {} has a scale for each column, and files have none of that kind",
         layer.spec.format->name());
  }
  std::vector<PlainTensor> plain;
  for (const LayerTensor& tensor : tensors_of(layer, weight)) {
    plain.push_back({tensor.name, tensor.dtype, tensor.shape, contents_of(layer, tensor)});
  }
  if (!layer.bias.empty()) {
    const auto* data = reinterpret_cast<const std::byte*>(layer.bias.data());
    plain.push_back({formats::joined(formats::base_name(weight), ".bias"),
                     Dtype::F32,
                     {layer.bias.size()},
                     {data, data + layer.bias.size() * sizeof(float)}});
  }
  return plain;
}

LinearLayer transpose_layer(const LinearLayer& layer) {
  const FormatDescriptor& format = *layer.spec.format;
  if (const Support can = can_transpose(format); !can) fail(ErrorKind::unsupported, "{}", can.reason);
  LinearLayer out = layer;
  std::swap(out.rows, out.columns);
  out.bias.clear();
  out.codes = exchanged(layer.codes, layer.rows, layer.columns, 1);
  if (format.grid() == ScaleGrid::row) out.scales_of_columns = !layer.scales_of_columns;
  if (format.grid() == ScaleGrid::block) {
    const std::uint64_t block = layer.spec.block_size;
    out.scales = exchanged(layer.scales, base::ceil_div(layer.rows, block), base::ceil_div(layer.columns, block), sizeof(float));
  }
  return out;
}

}  // namespace ops

Support can_transpose(const FormatDescriptor& format) {
  const Storage& storage = format.storage();
  const auto no = [&](std::string_view why) {
    return Support{false, fmt::format("{} cannot be transposed as it is: {}", format.name(), why)};
  };
  if (!format.facts().rotation_groups.empty()) return no("its weights are rotated along their rows");
  if (storage.flat) return no("its scales belong to runs over the ends of rows");
  if (storage.grid == ScaleGrid::run) return no("its scales belong to runs of a row");
  return {};
}

}  // namespace halftone
