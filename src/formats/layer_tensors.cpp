#include "formats/layer_tensors.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/fail.hpp"
#include "formats/float_types.hpp"
#include "formats/layer_names.hpp"

namespace halftone::formats {
namespace {

/// 1.0 in little-endian binary32.
const std::string kOne("\x00\x00\x80\x3F", 4);

}  // namespace

Shape squeezed(Shape shape) { return element_count(shape) == 1 ? Shape{} : shape; }

void add_sidecar(std::vector<LayerTensor>& tensors, const std::string& base, std::string json) {
  if (json.empty()) return;
  const std::uint64_t n_bytes = json.size();
  tensors.push_back({Role::constant, joined(base, kSidecarSuffix), Dtype::U8, {n_bytes}, std::move(json)});
}

void add_input_scale(std::vector<LayerTensor>& tensors, const std::string& base) {
  tensors.push_back({Role::constant, joined(base, kInputScaleSuffix), Dtype::F32, {}, kOne});
}

std::string contradiction(const FormatDescriptor& format, const StoredLayer& layer, std::string_view suffix, Dtype dtype,
                          const std::vector<Shape>& shapes, bool or_bytes) {
  const TensorInfo* tensor = suffix.empty() ? layer.weight : layer.companion(suffix);
  const bool is_older = tensor != nullptr && has_suffix(tensor->name, kLegacyScaleSuffix);
  const std::string_view what = suffix.empty() ? kWeightSuffix : is_older ? kLegacyScaleSuffix : suffix;
  std::vector<std::string> expected;
  for (const Shape& shape : shapes) expected.push_back(fmt::format("{} {}", name_of(dtype), to_string(shape)));
  const std::string wanted = fmt::format("{} expects a '{}' of {}", format.name(), what, fmt::join(expected, " or "));
  if (tensor == nullptr) return wanted + ", and there is none";
  const bool right_type = tensor->dtype == dtype || (or_bytes && tensor->dtype == Dtype::U8);
  if (right_type && std::find(shapes.begin(), shapes.end(), tensor->shape) != shapes.end()) return {};
  return fmt::format("{}, not {} {}", wanted, name_of(tensor->dtype), to_string(tensor->shape));
}

std::string origin_json(const TensorInfo& weight, std::uint32_t group_size) {
  return fmt::format(", \"group_size\": {}, \"orig_dtype\": \"torch.{}\", \"orig_shape\": [{}]", group_size, torch_name(weight.dtype),
                     fmt::join(weight.shape, ", "));
}

}  // namespace halftone::formats
