#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "unit/tiny_model.hpp"

namespace halftone {
namespace {

using test::bf16;
using test::model_of;
using test::options_for;

const std::vector<TensorInfo> kTensors = {bf16("a.weight", {256, 128}), bf16("a.bias", {256}), bf16("b.weight", {128, 128})};

Plan plan_with(const std::function<void(PlanOptions&)>& change, const ModelIndex& model = model_of(kTensors)) {
  PlanOptions options = options_for("fp8-block");
  change(options);
  return build_plan(model, {}, options);
}

const auto kNothing = [](PlanOptions&) {};

TEST(PlanJson, Same_question_gives_the_same_text_and_hash) {
  EXPECT_EQ(plan_with(kNothing).to_json(), plan_with(kNothing).to_json());
  EXPECT_EQ(plan_with(kNothing).hash(), plan_with(kNothing).hash());
}

TEST(PlanJson, Hash_is_32_hexadecimal_digits) { EXPECT_THAT(plan_with(kNothing).hash(), testing::MatchesRegex("[0-9a-f]+")); }

TEST(PlanJson, Order_of_the_tensors_in_memory_does_not_matter) {
  std::vector<TensorInfo> reversed(kTensors.rbegin(), kTensors.rend());
  EXPECT_EQ(plan_with(kNothing, model_of(reversed)).hash(), plan_with(kNothing).hash());
}

TEST(PlanJson, Hash_changes_with_every_option_that_changes_the_output) {
  const std::map<std::string, std::function<void(PlanOptions&)>> changes = {
      {"nothing", kNothing},
      {"lora", [](PlanOptions& options) { options.lora_rank = 4; }},
      {"format", [](PlanOptions& options) { options.spec.format = &format_named("int8-block"); }},
      {"block size", [](PlanOptions& options) { options.spec.block_size = 128; }},
      {"full precision", [](PlanOptions& options) { options.spec.full_precision_mm = true; }},
      {"input scale", [](PlanOptions& options) { options.spec.input_scale = true; }},
      {"exclude", [](PlanOptions& options) { options.exclude = {"b"}; }},
      {"include", [](PlanOptions& options) { options.include = {"b"}; }},
      {"heuristic", [](PlanOptions& options) { options.heuristic = Heuristic::size; }},
      {"metadata", [](PlanOptions& options) { options.quant_metadata = true; }},
      {"rule", [](PlanOptions& options) { options.rules = parse_rules(R"({"rules":[{"match":{"glob":"*bias"},"action":"drop"}]})", "r"); }},
  };
  std::map<std::string, std::string> seen;
  for (const auto& [name, change] : changes) {
    const auto [twin, fresh] = seen.emplace(plan_with(change).hash(), name);
    EXPECT_TRUE(fresh) << name << " gives the hash of " << twin->second;
  }
}

TEST(PlanJson, Hash_changes_with_the_input) {
  const std::string hash = plan_with(kNothing).hash();
  std::vector<TensorInfo> wider = kTensors;
  wider[1].shape = {257};
  EXPECT_NE(plan_with(kNothing, model_of(wider)).hash(), hash);
  EXPECT_NE(plan_with(kNothing, model_of(kTensors, {{"format", "pt"}})).hash(), hash);
}

TEST(PlanJson, Default_block_size_equals_the_same_size_given) {
  EXPECT_EQ(plan_with([](PlanOptions& options) { options.spec.block_size = 64; }).hash(), plan_with(kNothing).hash());
}

TEST(PlanJson, Text_is_json_with_the_facts_of_the_plan) {
  const Plan plan = plan_with(kNothing);
  const auto json = nlohmann::json::parse(plan.to_json());
  EXPECT_EQ(json["revision"], 4);
  EXPECT_EQ(json["output"]["bytes"], plan.output_bytes());
  EXPECT_EQ(json["output"]["tensors"].size(), plan.output.tensors.size());
  EXPECT_EQ(json["jobs"].size(), plan.jobs.size());
  EXPECT_EQ(json["decisions"][1]["tensor"], "a.weight");
  EXPECT_EQ(json["decisions"][1]["action"], "quantize");
}

TEST(PlanJson, Names_of_any_kind_give_valid_json) {
  const Plan plan = build_plan(model_of({bf16("\"\\\n\xC3\xA9\x01.weight", {16, 16})}), {}, options_for("fp8"));
  EXPECT_EQ(nlohmann::json::parse(plan.to_json())["decisions"][0]["tensor"], "\"\\\n\xC3\xA9\x01.weight");
}

}  // namespace
}  // namespace halftone
