#include "plan/shards.hpp"

#include <algorithm>
#include <map>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fail.hpp"
#include "formats/layer_names.hpp"
#include "formats/stored_layers.hpp"

namespace halftone::plan {
namespace {

/// Files that are written at once: each takes a descriptor.
constexpr std::size_t kMostShards = 500;

using Group = std::vector<const TensorInfo*>;

std::uint64_t bytes_of(const Group& group) {
  std::uint64_t bytes = 0;
  for (const TensorInfo* tensor : group) bytes += tensor->bytes();
  return bytes;
}

/// The tensors of each file.
std::vector<Group> cut(const Header& output, std::uint64_t most) {
  std::map<std::string, Group> layers;
  for (const TensorInfo& tensor : output.tensors) layers[formats::layer_of(tensor.name)].push_back(&tensor);
  std::vector<Group> files;
  std::uint64_t held = 0;
  for (const auto& [name, layer] : layers) {
    const std::uint64_t bytes = bytes_of(layer);
    if (files.empty() || (held > 0 && (bytes > most || held > most - bytes))) {
      files.emplace_back();
      held = 0;
    }
    files.back().insert(files.back().end(), layer.begin(), layer.end());
    held += bytes;
  }
  return files;
}

/// The index in the form of Hugging Face.
std::string index_text(const Plan& plan) {
  nlohmann::json index = {{"metadata", {{"total_size", plan.output.data_bytes()}}}, {"weight_map", nlohmann::json::object()}};
  for (const OutputShard& shard : plan.shards) {
    for (const TensorInfo& tensor : shard.header.tensors) index["weight_map"][tensor.name] = shard.name;
  }
  return index.dump(2, ' ', true) + "\n";
}

}  // namespace

void cut_into_shards(Plan& plan, const Sharding& sharding) {
  const std::vector<Group> files = cut(plan.output, sharding.max_bytes);
  if (files.size() <= 1) return;
  if (files.size() > kMostShards) {
    fail(ErrorKind::usage, "--shard-size would make {} files, at most {} are written; a larger size makes fewer", files.size(),
         kMostShards);
  }
  std::unordered_map<std::string_view, Place> places;
  // One file tells of all layers; two that told of some of them would contradict each other.
  Metadata metadata = plan.output.metadata;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::vector<TensorInfo> tensors;
    for (const TensorInfo* tensor : files[i]) tensors.push_back(*tensor);
    OutputShard shard{fmt::format("{}-{:05}-of-{:05}.safetensors", sharding.stem, i + 1, files.size()),
                      lay_out(std::move(tensors), metadata, plan.output.has_metadata)};
    metadata.erase(formats::kMetadataKey);
    plan.shards.push_back(std::move(shard));
  }
  for (std::uint32_t i = 0; i < plan.shards.size(); ++i) {
    const Header& header = plan.shards[i].header;
    for (const TensorInfo& tensor : header.tensors) places.emplace(tensor.name, Place{i, header.data_start + tensor.begin});
  }
  plan.places.clear();
  for (const TensorInfo& tensor : plan.output.tensors) plan.places.push_back(places.at(tensor.name));
  plan.index_name = sharding.stem + ".safetensors.index.json";
  plan.index = index_text(plan);
  std::sort(plan.jobs.begin(), plan.jobs.end(), [&](const Job& a, const Job& b) {
    const Place& first = plan.places[a.outputs.front()];
    const Place& second = plan.places[b.outputs.front()];
    return first.file != second.file ? first.file < second.file : first.offset < second.offset;
  });
}

}  // namespace halftone::plan
