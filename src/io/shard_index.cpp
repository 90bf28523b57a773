#include "io/shard_index.hpp"

#include <unordered_map>

#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "base/strict_json.hpp"

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
  const json index = base::parse_json<json>(text, ErrorKind::bad_index, "the index");
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
