#include "eval/float_reader.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/fail.hpp"
#include "formats/layer_layout.hpp"

namespace halftone::eval {

Extent extent_of(const TensorInfo& tensor) {
  if (tensor.shape.size() == 2) return {tensor.shape[0], tensor.shape[1]};
  return {element_count(tensor.shape), 1};
}

FloatModel::FloatModel(const std::filesystem::path& path, const Backend& backend) : files_(path), backend_(backend) {
  for (formats::QuantizedLayer& layer : formats::find_quantized_layers(files_.index(), files_.side_texts())) {
    companions_.insert(layer.companions.begin(), layer.companions.end());
    layers_.emplace(layer.weight->info.name, std::move(layer));
  }
}

const formats::QuantizedLayer* FloatModel::layer(std::string_view name) const {
  const auto found = layers_.find(name);
  return found == layers_.end() ? nullptr : &found->second;
}

bool FloatModel::is_readable(const ModelTensor& tensor) const {
  return is_source_float(tensor.info.dtype) || layer(tensor.info.name) != nullptr;
}

std::string FloatModel::stored_as(const ModelTensor& tensor) const {
  const auto* found = layer(tensor.info.name);
  if (found == nullptr) return std::string(name_of(tensor.info.dtype));
  return found->spec ? std::string(found->spec->format->name()) : found->format_text;
}

std::uint64_t FloatModel::row_multiple(const ModelTensor& tensor) const {
  const auto* found = layer(tensor.info.name);
  if (found == nullptr || !found->spec) return 1;
  return formats::LayerLayout(*found->spec, extent_of(tensor.info).columns).row_multiple();
}

void FloatModel::read(const ModelTensor& tensor, std::uint64_t first, std::uint64_t count, float* out) const {
  const std::uint64_t columns = extent_of(tensor.info).columns;
  const std::uint64_t row_bytes = columns * bits_of(tensor.info.dtype) / 8;
  const std::byte* data = files_.bytes(tensor).data() + first * row_bytes;
  const auto* found = layer(tensor.info.name);
  if (found == nullptr) return backend_.to_float(tensor.info.dtype, data, count * columns, out);
  if (!found->spec) {
    fail(ErrorKind::unsupported, "'{}': the layer '{}' is stored as {}, which cannot be read yet", files_.path().string(), found->base,
         found->format_text);
  }
  const formats::LayerLayout layout(*found->spec, columns);
  std::vector<float> scales(layout.scale_count(count), 1.0F);
  if (found->scales != nullptr) {
    std::memcpy(scales.data(), files_.bytes(*found->scales).data() + layout.first_scale(first) * sizeof(float),
                scales.size() * sizeof(float));
  }
  backend_.dequantize(*found->spec, {data, tensor.info.dtype, count, columns}, scales.data(), out);
}

}  // namespace halftone::eval
