#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/model.hpp>

namespace halftone::io {

/// The `weight_map` of a Hugging Face shard index: tensor name to file name.
using WeightMap = std::map<std::string, std::string>;

/// Parses an index and checks that every file name stays in the index's own folder.
/// Throws bad_index or shard_path.
[[nodiscard]] WeightMap parse_shard_index(std::string_view json);

/// Throws shard_mismatch where `shards` do not hold exactly the tensors of `map`, each where it says.
void check_shards(const WeightMap& map, const std::vector<ModelIndex::Shard>& shards);

}  // namespace halftone::io
