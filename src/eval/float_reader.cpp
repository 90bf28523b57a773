#include "eval/float_reader.hpp"

#include <cstring>
#include <span>

#include "base/fail.hpp"

namespace halftone::eval {

formats::StoredMatrix stored_matrix(const io::ModelFiles& files, const formats::QuantizedLayer& layer) {
  const auto bytes = [&](const ModelTensor* tensor) { return tensor == nullptr ? std::span<const std::byte>() : files.bytes(*tensor); };
  float tensor_scale = 1.0F;
  if (const auto found = bytes(layer.readable->tensor_scale); !found.empty()) std::memcpy(&tensor_scale, found.data(), sizeof tensor_scale);
  return {layer.readable->spec,
          layer.readable->shape,
          bytes(layer.weight),
          bytes(layer.readable->scales),
          tensor_scale,
          {bytes(layer.readable->row_scales), bytes(layer.readable->levels), bytes(layer.readable->nested_scales),
           bytes(layer.readable->nested_levels), layer.readable->nested_offset}};
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
  return found->format_name();
}

Shape FloatModel::shape_of(const ModelTensor& tensor) const {
  const auto* found = layer(tensor.info.name);
  return found != nullptr && found->readable ? found->readable->shape : tensor.info.shape;
}

std::uint64_t FloatModel::row_multiple(const ModelTensor& tensor) const {
  const auto* found = layer(tensor.info.name);
  return found == nullptr || !found->readable ? 1 : stored_matrix(files_, *found).row_multiple();
}

void FloatModel::read(const ModelTensor& tensor, std::uint64_t first, std::uint64_t count, float* out) const {
  const auto* found = layer(tensor.info.name);
  if (found == nullptr) {
    const std::uint64_t columns = formats::extent_of(tensor.info.shape).columns;
    const std::byte* data = files_.bytes(tensor).data() + first * columns * bits_of(tensor.info.dtype) / 8;
    return backend_.to_float(tensor.info.dtype, data, count * columns, out);
  }
  try {
    found->require_readable();
  } catch (const Error& error) {
    fail(error.kind(), "'{}': {}", files_.path().string(), error.what());
  }
  stored_matrix(files_, *found).read(backend_, first, count, out);
}

}  // namespace halftone::eval
