#include "io/shard_index.hpp"

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"

namespace halftone::io {
namespace {

using test::fails_with;

ModelIndex::Shard shard(const std::string& file, const std::vector<std::string>& tensors) {
  std::vector<TensorInfo> infos;
  for (const std::string& name : tensors) infos.push_back({name, Dtype::U8, {1}});
  return {file, lay_out(std::move(infos), {}, false)};
}

TEST(ParseShardIndex, Map_of_the_convention_is_read) {
  const std::string text = R"({
  "metadata": {
    "total_size": 5
  },
  "weight_map": {
    "a.weight": "model-00001-of-00002.safetensors",
    "b.weight": "model-00002-of-00002.safetensors"
  }
}
)";
  EXPECT_EQ(parse_shard_index(text),
            (WeightMap{{"a.weight", "model-00001-of-00002.safetensors"}, {"b.weight", "model-00002-of-00002.safetensors"}}));
}

TEST(ParseShardIndex, Equal_keys_of_different_objects_are_no_duplicates) {
  EXPECT_EQ(parse_shard_index(R"({"metadata":{"a":1,"b":{"a":2}},"weight_map":{"a":"f"}})").size(), 1U);
}

TEST(ParseShardIndex, File_name_with_dots_inside_is_plain) {
  EXPECT_EQ(parse_shard_index(R"({"weight_map":{"a":"..f..x"}})").at("a"), "..f..x");
}

// The kinds of broken indices are in safetensors_rejects_test.cpp.
TEST(ParseShardIndex, Sentence_names_tensor_and_file) {
  EXPECT_THAT([] { (void)parse_shard_index(R"({"weight_map":{"a.weight":"../x"}})"); },
              fails_with(ErrorKind::shard_path, "'a.weight'", "'../x'"));
}

TEST(CheckShards, Exact_match_is_accepted) { check_shards({{"a", "1"}, {"b", "2"}}, {shard("1", {"a"}), shard("2", {"b"})}); }

TEST(CheckShards, Tensor_in_the_wrong_shard_names_both_files) {
  EXPECT_THAT(
      [] {
        check_shards({{"a", "1"}, {"b", "1"}}, {shard("1", {"a"}), shard("2", {"b"})});
      },
      fails_with(ErrorKind::shard_mismatch, "'b'", "'1'", "'2'"));
}

TEST(CheckShards, Tensor_in_two_shards_is_a_duplicate) {
  EXPECT_THAT(
      [] {
        check_shards({{"a", "1"}, {"b", "2"}}, {shard("1", {"a"}), shard("2", {"a", "b"})});
      },
      fails_with(ErrorKind::duplicate_tensor, "'a'", "'1'", "'2'"));
}

}  // namespace
}  // namespace halftone::io
