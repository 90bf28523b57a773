#include "io/shard_index.hpp"

#include <unordered_map>

#include <nlohmann/json.hpp>

#include "base/fail.hpp"

namespace halftone::io {
namespace {

void check_file_name(const std::string& tensor, const std::string& file) {
  const bool plain = !file.empty() && file.find('/') == std::string::npos && file.find('\\') == std::string::npos &&
                     file.find('\0') == std::string::npos && file != "." && file != "..";
  if (!plain) {
    fail(ErrorKind::shard_path, "the index puts the tensor '{}' into '{}', which is no file name in its own folder", tensor, file);
  }
}

}  // namespace

WeightMap parse_shard_index(std::string_view text) {
  using nlohmann::json;
  // Duplicate keys would be merged silently by the document tree, so they are watched for here.
  std::vector<std::map<std::string, int>> open;
  const auto watch = [&](int, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start) open.emplace_back();
    if (event == json::parse_event_t::object_end && !open.empty()) open.pop_back();
    if (event == json::parse_event_t::key && !open.empty() && ++open.back()[value.get<std::string>()] > 1) {
      fail(ErrorKind::bad_index, "the index names '{}' twice", value.get<std::string>());
    }
    return true;
  };
  json index;
  // The JSON parser takes a NUL for the end of its input.
  if (text.find('\0') != std::string_view::npos) fail(ErrorKind::bad_index, "the index holds a NUL, which JSON does not allow");
  try {
    index = json::parse(text.begin(), text.end(), watch);
  } catch (const json::parse_error& error) {
    fail(ErrorKind::bad_index, "the index is not valid JSON at its byte {}", error.byte);
  }
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object()) {
    fail(ErrorKind::bad_index, "the index holds no object 'weight_map'");
  }
  WeightMap result;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string()) fail(ErrorKind::bad_index, "the index gives the tensor '{}' no file name", tensor);
    check_file_name(tensor, file.get<std::string>());
    result.emplace(tensor, file.get<std::string>());
  }
  if (result.empty()) fail(ErrorKind::bad_index, "the index names no tensor");
  return result;
}

void check_shards(const WeightMap& map, const std::vector<ModelIndex::Shard>& shards) {
  std::unordered_map<std::string, const std::string*> found;
  for (const ModelIndex::Shard& shard : shards) {
    for (const TensorInfo& tensor : shard.header.tensors) {
      if (map.find(tensor.name) == map.end()) {
        fail(ErrorKind::shard_mismatch, "the shard '{}' holds the tensor '{}', which the index does not name", shard.name, tensor.name);
      }
      if (!found.emplace(tensor.name, &shard.name).second) {
        fail(ErrorKind::duplicate_tensor, "the tensor '{}' is in '{}' and again in '{}'", tensor.name, *found[tensor.name], shard.name);
      }
    }
  }
  for (const auto& [tensor, file] : map) {
    const auto place = found.find(tensor);
    if (place == found.end()) fail(ErrorKind::shard_mismatch, "the index puts the tensor '{}' into '{}', which lacks it", tensor, file);
    if (*place->second != file) {
      fail(ErrorKind::shard_mismatch, "the index puts the tensor '{}' into '{}', but it is in '{}'", tensor, file, *place->second);
    }
  }
}

}  // namespace halftone::io
