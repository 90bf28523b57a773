#include "api/layer_note.hpp"

#include <nlohmann/json.hpp>

namespace halftone::api {
namespace {

using nlohmann::ordered_json;

/// Calls `visit` with each member that is kept and its key.
template <class Layer, class Visit>
void for_each_member(Layer& layer, const Visit& visit) {
  // Names every member, so that a new one does not compile before it has its line here.
  auto& [tensor, method, kept_nearest_because, changed, elements, moved_scales, squared_error, target, loss_ratio, squared_error_ratio,
         output_error_ratio, rank, wanted_rank, captured_energy, basis_residual, damping, iterations, stop_reason, lora_rank,
         lora_directions, lora_captured, lora_by_output, seconds] = layer;
  visit("method", method);
  visit("kept_nearest_because", kept_nearest_because);
  visit("changed", changed);
  visit("elements", elements);
  visit("moved_scales", moved_scales);
  visit("squared_error", squared_error);
  visit("target", target);
  visit("loss_ratio", loss_ratio);
  visit("squared_error_ratio", squared_error_ratio);
  visit("output_error_ratio", output_error_ratio);
  visit("rank", rank);
  visit("wanted_rank", wanted_rank);
  visit("captured_energy", captured_energy);
  visit("basis_residual", basis_residual);
  visit("damping", damping);
  visit("iterations", iterations);
  visit("stop_reason", stop_reason);
  visit("lora_rank", lora_rank);
  visit("lora_directions", lora_directions);
  visit("lora_captured", lora_captured);
  visit("lora_by_output", lora_by_output);
  visit("seconds", seconds);
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

std::string note_of(const LearnedLayer& layer) {
  ordered_json json;
  for_each_member(layer, [&](const char* key, const auto& value) { json[key] = json_of(value); });
  return json.dump(-1, ' ', true, ordered_json::error_handler_t::replace);
}

std::optional<LearnedLayer> layer_from(std::string_view note) {
  try {
    const auto json = ordered_json::parse(note);
    LearnedLayer layer;
    for_each_member(layer, [&](const char* key, auto& value) { read(json.at(key), value); });
    return layer;
  } catch (const ordered_json::exception&) {
    return std::nullopt;
  }
}

}  // namespace halftone::api
