// A shard index.  Whatever is accepted must agree with a generic JSON parser, stay in its folder,
// and fit exactly the shards that it describes.
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "fuzz_target.hpp"
#include "io/shard_index.hpp"

namespace halftone::fuzz {
namespace {

using Shards = std::vector<ModelIndex::Shard>;

void check_names(const io::WeightMap& map) {
  require(!map.empty(), "an index of nothing is accepted");
  for (const auto& [tensor, file] : map) {
    require(file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos, "a file name leaves the folder");
    require(!file.empty() && file != "." && file != "..", "a file name names no file");
  }
}

Shards shards_of(const io::WeightMap& map) {
  std::map<std::string, Header> headers;
  for (const auto& [tensor, file] : map) headers[file].tensors.push_back({.name = tensor, .shape = {}});
  Shards shards;
  for (auto& [file, header] : headers) shards.push_back({file, std::move(header)});
  return shards;
}

/// Invariant: check_shards takes the shards that the index describes, and no others.
void check_shard_sets(const io::WeightMap& map) {
  using enum ErrorKind;
  const Shards right = shards_of(map);
  io::check_shards(map, right);

  Shards wrong = right;
  const TensorInfo last = wrong.back().header.tensors.back();
  wrong.back().header.tensors.pop_back();
  require(kind_thrown_by([&] { io::check_shards(map, wrong); }) == shard_mismatch, "a missing tensor goes unnoticed");

  wrong.push_back({"/", Header{.tensors = {last}, .metadata = {}}});
  require(kind_thrown_by([&] { io::check_shards(map, wrong); }) == shard_mismatch, "a moved tensor goes unnoticed");

  wrong = right;
  wrong.front().header.tensors.push_back(last);
  require(kind_thrown_by([&] { io::check_shards(map, wrong); }) == duplicate_tensor, "a tensor in two places goes unnoticed");
}

}  // namespace
}  // namespace halftone::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_bytes) {
  using namespace halftone;
  const std::string_view text = fuzz::text_of(data, n_bytes);
  const auto map = fuzz::attempt({ErrorKind::bad_index, ErrorKind::shard_path}, [&] { return io::parse_shard_index(text); }).value;
  if (!map) return 0;
  fuzz::accepted = true;
  fuzz::check_names(*map);
  fuzz::require(text.find('\0') == std::string_view::npos, "a NUL is accepted");
  const auto document = nlohmann::json::parse(text, nullptr, false);
  fuzz::require(document.is_object() && document.at("weight_map") == nlohmann::json(*map), "the map differs from the text");
  fuzz::check_shard_sets(*map);
  return 0;
}
