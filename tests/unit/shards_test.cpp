#include "plan/shards.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "formats/stored_layers.hpp"
#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::model_of;
using testing::ElementsAre;

Plan plan_in_shards(std::uint64_t max_bytes, const Metadata& metadata = {}) {
  PlanOptions options = test::options_for("fp8");
  options.sharding = Sharding{max_bytes, "m"};
  options.quant_metadata = !metadata.empty();
  // FP8 makes 100 + 4 + 27, 200 + 4 + 27 and 50 bytes of these.
  return build_plan(model_of({bf16("a.weight", {10, 10}), bf16("b.weight", {10, 20}), bf16("c.bias", {25})}, metadata), {}, options);
}

std::vector<std::string> names_of(const Plan& plan) {
  std::vector<std::string> names;
  for (const OutputShard& shard : plan.shards) {
    for (const TensorInfo& tensor : shard.header.tensors) names.push_back(shard.name.substr(0, 7) + ":" + tensor.name);
  }
  return names;
}

TEST(Shards, Are_filled_up_to_the_size) {
  EXPECT_TRUE(plan_in_shards(131 + 231 + 50).shards.empty()) << "it fits";
  EXPECT_THAT(names_of(plan_in_shards(131 + 231)),
              ElementsAre("m-00001:a.weight_scale", "m-00001:b.weight_scale", "m-00001:a.weight", "m-00001:b.weight",
                          "m-00001:a.comfy_quant", "m-00001:b.comfy_quant", "m-00002:c.bias"));
  EXPECT_EQ(plan_in_shards(131 + 230).shards.size(), 2U);
  EXPECT_EQ(plan_in_shards(231 + 49).shards.size(), 3U);
  EXPECT_EQ(plan_in_shards(1).shards.size(), 3U) << "no layer is cut";
}

TEST(Shards, Places_are_those_of_the_headers) {
  const Plan plan = plan_in_shards(1);
  ASSERT_EQ(plan.places.size(), plan.output.tensors.size());
  for (std::size_t i = 0; i < plan.places.size(); ++i) {
    const Header& header = plan.shards[plan.places[i].file].header;
    const auto tensor = std::find_if(header.tensors.begin(), header.tensors.end(),
                                     [&](const TensorInfo& each) { return each.name == plan.output.tensors[i].name; });
    ASSERT_NE(tensor, header.tensors.end());
    EXPECT_EQ(plan.places[i].offset, header.data_start + tensor->begin);
  }
}

TEST(Shards, Sum_of_all_files_is_the_size) {
  const Plan plan = plan_in_shards(1);
  std::uint64_t bytes = plan.index.size();
  for (const OutputShard& shard : plan.shards) bytes += serialize(shard.header).size() + shard.header.data_bytes();
  EXPECT_EQ(plan.output_bytes(), bytes);
  const auto index = nlohmann::json::parse(plan.index);
  EXPECT_EQ(index["metadata"]["total_size"], 131 + 231 + 50);
  EXPECT_EQ(index["weight_map"]["b.comfy_quant"], "m-00002-of-00003.safetensors");
}

TEST(Shards, Labels_of_the_header_stand_in_the_first) {
  const Plan plan = plan_in_shards(1, {{"format", "pt"}});
  for (const OutputShard& shard : plan.shards) {
    EXPECT_EQ(shard.header.metadata.count("format"), 1U);
    EXPECT_EQ(shard.header.metadata.count("_quantization_metadata"), &shard == plan.shards.data() ? 1U : 0U);
  }
}

TEST(LayerOf, Companions_have_the_layer_of_their_weight) {
  for (const char* name :
       {"a.b.weight", "a.b.weight_scale", "a.b.weight_scale_2", "a.b.weight_scalar", "a.b.comfy_quant", "a.b.input_scale",
        "a.b.scale_weight", "a.b.weight.absmax", "a.b.weight.quant_map", "a.b.weight.quant_state.bitsandbytes__nf4"}) {
    EXPECT_EQ(formats::layer_of(name), "a.b") << name;
  }
  EXPECT_EQ(formats::layer_of("a.b.bias"), "a.b.bias");
  EXPECT_EQ(formats::layer_of("scaled_fp8"), "scaled_fp8");
}

}  // namespace
}  // namespace halftone
