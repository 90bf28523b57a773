#include "api/layer_record.hpp"

#include <nlohmann/json.hpp>

namespace halftone::api {
namespace {

using nlohmann::ordered_json;

/// Calls `visit` with each member that is recorded and its key.
template <class Layer, class Visit>
void for_each_member(Layer& layer, const Visit& visit) {
  visit("method", layer.method);
  visit("kept_nearest_because", layer.kept_nearest_because);
  visit("changed", layer.changed);
  visit("elements", layer.elements);
  visit("moved_scales", layer.moved_scales);
  visit("squared_error", layer.squared_error);
  visit("target", layer.target);
  visit("loss_ratio", layer.loss_ratio);
  visit("squared_error_ratio", layer.squared_error_ratio);
  visit("output_error_ratio", layer.output_error_ratio);
  visit("rank", layer.rank);
  visit("wanted_rank", layer.wanted_rank);
  visit("captured_energy", layer.captured_energy);
  visit("basis_residual", layer.basis_residual);
  visit("damping", layer.damping);
  visit("iterations", layer.iterations);
  visit("stop_reason", layer.stop_reason);
  visit("lora_rank", layer.lora_rank);
  visit("lora_directions", layer.lora_directions);
  visit("lora_captured", layer.lora_captured);
  visit("lora_by_output", layer.lora_by_output);
  visit("seconds", layer.seconds);
}

ordered_json json_of(LearnMethod method) { return name_of(method); }
ordered_json json_of(const MovedTarget& target) { return {{"damping", target.damping}, {"change", target.change}}; }
template <class T>
ordered_json json_of(const T& value) {
  return value;
}
template <class T>
ordered_json json_of(const std::optional<T>& value) {
  return value ? json_of(*value) : ordered_json();
}

template <class T>
void read(const ordered_json& json, T& value) {
  json.get_to(value);
}
void read(const ordered_json& json, LearnMethod& method) {
  for (const LearnMethod one : kLearnMethods) {
    if (json == name_of(one)) return void(method = one);
  }
  throw ordered_json::other_error::create(501, "not the name of a method", &json);
}
void read(const ordered_json& json, MovedTarget& target) {
  read(json.at("damping"), target.damping);
  read(json.at("change"), target.change);
}
template <class T>
void read(const ordered_json& json, std::optional<T>& value) {
  if (!json.is_null()) read(json, value.emplace());
}

}  // namespace

std::string record_of(const LearnedLayer& layer) {
  ordered_json json;
  for_each_member(layer, [&](const char* key, const auto& value) { json[key] = json_of(value); });
  return json.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
}

std::optional<LearnedLayer> layer_from(std::string_view record) {
  try {
    const auto json = ordered_json::parse(record);
    LearnedLayer layer;
    for_each_member(layer, [&](const char* key, auto& value) { read(json.at(key), value); });
    return layer;
  } catch (const ordered_json::exception&) {
    return std::nullopt;
  }
}

}  // namespace halftone::api
