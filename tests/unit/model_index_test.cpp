#include <halftone/model.hpp>

#include <gmock/gmock.h>

#include "unit/fails_with.hpp"

namespace halftone {
namespace {

using test::fails_with;

ModelIndex::Shard shard(const std::string& name, std::vector<TensorInfo> tensors, Metadata metadata = {}) {
  const bool has_metadata = !metadata.empty();
  return {name, lay_out(std::move(tensors), std::move(metadata), has_metadata)};
}

ModelIndex two_shards() {
  return ModelIndex({shard("1", {{"b", Dtype::U8, {2}}, {"d", Dtype::F32, {1}}}, {{"k", "v"}, {"only1", ""}}),
                     shard("2", {{"a", Dtype::F16, {3}}, {"c", Dtype::U8, {1}}}, {{"k", "v"}, {"only2", "x"}})});
}

TEST(ModelIndex, Tensors_of_all_shards_are_sorted_by_name) {
  const ModelIndex model = two_shards();
  std::string names;
  for (const ModelTensor& tensor : model.tensors()) names += tensor.info.name + std::to_string(tensor.shard);
  EXPECT_EQ(names, "a1b0c1d0");
}

TEST(ModelIndex, Find_returns_the_tensor_or_null) {
  const ModelIndex model = two_shards();
  ASSERT_NE(model.find("c"), nullptr);
  EXPECT_EQ(model.find("c")->info.name, "c");
  for (const char* absent : {"", "bb", "e"}) EXPECT_EQ(model.find(absent), nullptr) << absent;
}

TEST(ModelIndex, Metadata_is_the_union) {
  EXPECT_EQ(two_shards().metadata(), (Metadata{{"k", "v"}, {"only1", ""}, {"only2", "x"}}));
  EXPECT_TRUE(two_shards().has_metadata());
  EXPECT_FALSE(ModelIndex({shard("1", {})}).has_metadata());
}

TEST(ModelIndex, Conflicting_metadata_is_refused) {
  const auto make = [] { ModelIndex({shard("1", {}, {{"k", "v"}}), shard("2", {}, {{"k", "w"}})}); };
  EXPECT_THAT(make, fails_with(ErrorKind::metadata_conflict, "'k'", "'v'", "'w'", "'2'"));
}

TEST(ModelIndex, Tensor_in_two_shards_is_refused) {
  const auto make = [] { ModelIndex({shard("1", {{"a", Dtype::U8, {1}}}), shard("2", {{"a", Dtype::U8, {1}}})}); };
  EXPECT_THAT(make, fails_with(ErrorKind::duplicate_tensor, "'a'", "'1'", "'2'"));
}

TEST(ModelIndex, File_bytes_count_headers_and_data) {
  const ModelIndex model = two_shards();
  EXPECT_EQ(model.file_bytes(), serialize(model.shards()[0].header).size() + 6 + serialize(model.shards()[1].header).size() + 7);
}

TEST(ModelIndex, Digest_follows_every_fact_of_the_headers) {
  const auto digest = [](const char* name, Dtype dtype, Shape shape, const char* value) {
    return ModelIndex({shard("1", {{name, dtype, std::move(shape)}}, {{"k", value}})}).digest();
  };
  const std::string first = digest("a", Dtype::F16, {2, 3}, "v");
  EXPECT_EQ(digest("a", Dtype::F16, {2, 3}, "v"), first);
  EXPECT_NE(digest("b", Dtype::F16, {2, 3}, "v"), first);
  EXPECT_NE(digest("a", Dtype::BF16, {2, 3}, "v"), first);
  EXPECT_NE(digest("a", Dtype::F16, {3, 2}, "v"), first);
  EXPECT_NE(digest("a", Dtype::F16, {2, 3}, "w"), first);
}

}  // namespace
}  // namespace halftone
