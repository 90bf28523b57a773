#include "formats/stored_facts.hpp"

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"

namespace halftone::formats {
namespace {

using nlohmann::ordered_json;

/// A layer's JSON, asked key by key.
class Json {
 public:
  Json(const std::string& base, const ordered_json& json) : base_(base), json_(json) {
    if (!json.is_object()) fail(ErrorKind::bad_quantization, "the quantization JSON of the layer '{}' is no object", base);
  }

  [[nodiscard]] std::string text(const char* key) const {
    const ordered_json* found = find(key);
    if (found == nullptr || !found->is_string()) {
      fail(ErrorKind::bad_quantization, "the quantization JSON of the layer '{}' is no object with a '{}'", base_, key);
    }
    return found->get<std::string>();
  }

  [[nodiscard]] bool has(const char* key) const { return find(key) != nullptr; }

  /// False where the key is absent.
  [[nodiscard]] bool flag(const char* key) const {
    const ordered_json* found = find(key);
    if (found == nullptr) return false;
    if (!found->is_boolean()) fail(ErrorKind::bad_quantization, "the '{}' of the layer '{}' is neither true nor false", key, base_);
    return found->get<bool>();
  }

  /// `otherwise` where the key is absent.
  [[nodiscard]] std::uint32_t size(const char* key, std::uint32_t otherwise) const {
    const ordered_json* found = find(key);
    if (found == nullptr) return otherwise;
    const bool positive = found->is_number_unsigned() && *found != 0U && found->get<std::uint64_t>() <= UINT32_MAX;
    if (!positive) fail(ErrorKind::bad_quantization, "the '{}' of the layer '{}' is {}, which is no size", key, base_, found->dump());
    return found->get<std::uint32_t>();
  }

  /// Nothing where the key is absent.
  [[nodiscard]] std::optional<float> number(const char* key) const {
    const ordered_json* found = find(key);
    if (found == nullptr) return std::nullopt;
    if (!found->is_number()) fail(ErrorKind::bad_quantization, "the '{}' of the layer '{}' is no number", key, base_);
    return static_cast<float>(found->get<double>());
  }

  /// A matrix shape whose elements can be counted; nothing where the key is absent.
  [[nodiscard]] std::optional<Shape> shape(const char* key) const {
    const ordered_json* found = find(key);
    if (found == nullptr) return std::nullopt;
    Shape shape;
    if (found->is_array()) {
      for (const ordered_json& extent : *found) shape.push_back(extent.is_number_unsigned() ? extent.get<std::uint64_t>() : UINT64_MAX);
    }
    constexpr std::uint64_t most = UINT32_MAX;  // so that no product overflows
    if (shape.size() != 2 || shape[0] > most || shape[1] > most) {
      fail(ErrorKind::bad_quantization, "the '{}' of the layer '{}' is not the shape of a matrix", key, base_);
    }
    return shape;
  }

 private:
  /// Older files of convert_to_quant nest sizes in `params`.
  [[nodiscard]] const ordered_json* find(const char* key) const {
    if (const auto found = json_.find(key); found != json_.end()) return &*found;
    const auto params = json_.find("params");
    if (params == json_.end() || !params->is_object()) return nullptr;
    const auto found = params->find(key);
    return found == params->end() ? nullptr : &*found;
  }

  const std::string& base_;
  const ordered_json& json_;
};

}  // namespace

StoredFacts facts_of_json(const std::string& base, const ordered_json& layer) {
  const Json json(base, layer);
  return {.format = json.text("format"),
          .group_size = json.size("group_size", 0),
          .per_row = json.flag("per_row"),
          .rotated = json.flag("convrot"),
          .rotation_group = json.size("convrot_groupsize", 256),
          .shape = json.shape("orig_shape"),
          .full_precision_mm = json.flag("full_precision_matrix_mult"),
          .linear_dtype = json.has("linear_dtype") ? json.text("linear_dtype") : ""};
}

StoredFacts facts_of_state(const std::string& base, const ordered_json& state) {
  const Json json(base, state);
  const std::string type = json.text("quant_type");
  // bitsandbytes writes its keys in another order than convert_to_quant; nothing else tells its files apart.
  const bool bitsandbytes = state.begin().key() == "quant_type";
  return {.format = fmt::format("{}_{}", bitsandbytes ? "bitsandbytes" : "bnb", type),
          .group_size = json.size("blocksize", 0),
          .nested_block = json.size("nested_blocksize", 0),
          .nested_offset = json.number("nested_offset"),
          .shape = json.shape("shape")};
}

bool mean_the_same(const StoredFacts& one, const StoredFacts& other) noexcept {
  const bool same_rotation = one.rotated == other.rotated && (!one.rotated || one.rotation_group == other.rotation_group);
  const bool same_groups = one.group_size == other.group_size || one.group_size == 0 || other.group_size == 0;
  return one.format == other.format && same_rotation && same_groups && one.per_row == other.per_row &&
         one.full_precision_mm == other.full_precision_mm;
}

const TensorInfo* legacy_scales(const StoredLayer& layer) {
  const TensorInfo* scales = layer.companion(kLegacyScaleSuffix);
  if (layer.weight->dtype != Dtype::I8 || scales != nullptr) return scales;
  scales = layer.companion(kScaleSuffix);
  // One dimension is how rotated INT4 stores its scales: without JSON nothing tells which it is.
  const bool unclear = scales != nullptr && scales->shape.size() == 1 && scales->shape[0] != 1;
  return layer.weight->shape.size() != 2 || unclear ? nullptr : scales;
}

void describe_legacy(StoredLayer& layer, const TensorInfo& scales) {
  const bool int8 = layer.weight->dtype == Dtype::I8;
  // No format has this name: what is not described below cannot be read, least of all as codes without a scale.
  layer.comfy_format = int8 ? kLegacyInt8Format : kLegacyFormat;
  if (layer.weight->shape.size() != 2) return;
  const std::uint64_t rows = layer.weight->shape[0];
  const std::uint64_t columns = layer.weight->shape[1];
  const Shape& shape = scales.shape;
  if (element_count(shape) == 1) {
    layer.comfy_format = int8 ? "int8_tensorwise" : layer.weight->dtype == Dtype::F8_E5M2 ? "float8_e5m2" : "float8_e4m3fn";
  } else if (shape == Shape{rows} || shape == Shape{rows, 1}) {
    layer.comfy_format = int8 ? "int8_tensorwise" : "float8_e4m3fn_rowwise";
    layer.per_row = int8;
  } else if (shape.size() == 2 && shape[0] != 0 && shape[1] != 0 && rows / shape[0] == columns / shape[1]) {
    layer.comfy_format = int8 ? "int8_blockwise" : "float8_e4m3fn_blockwise";
    layer.group_size = static_cast<std::uint32_t>(rows / shape[0]);
  } else {
    return;
  }
  layer.companions[kScaleSuffix] = &scales;
}

}  // namespace halftone::formats
