#include <numeric>

#include "unit/conversion_test.hpp"
#include "unit/raw_file.hpp"

namespace halftone {
namespace {

using test::f32;
using test::fails_with;
using test::options_for;
using test::read_bytes;

using Convert = test::ConversionTest;

const std::vector<float> kExample = {0.1F, -0.25F, 0.3F, 0.0F, -0.7F, 0.65F};

/// `n` values in [-1, 1) without a pattern that bands could follow.
std::vector<float> ramp(std::size_t n) {
  std::vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>((i * 7919) % 20'011) / 10'005.5F - 1.0F;
  return values;
}

TEST_F(Convert, Example_of_the_specification_gives_a_file_of_277_bytes) {
  write_input({f32("a.weight", {2, 3}, kExample)}, {{"format", "pt"}});
  convert_to("fp8");
  const std::string json = R"({"__metadata__":{"format":"pt"},"a.weight_scale":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
                           R"("a.weight":{"dtype":"F8_E4M3","shape":[2,3],"data_offsets":[4,10]},)"
                           R"("a.comfy_quant":{"dtype":"U8","shape":[27],"data_offsets":[10,37]}} )";
  const std::string data = std::string("\xCD\xCC\xCC\x3A\x68\xF2\x74\x00\xFE\x7D", 10) + R"({"format": "float8_e4m3fn"})";
  EXPECT_EQ(read_bytes(output()), test::raw_file(json, data));
  EXPECT_EQ(std::filesystem::file_size(output()), 277U);
}

TEST_F(Convert, Other_tensors_pass_through_byte_for_byte) {
  const std::string half("\x01\x7C\xFF\xFF\x00\x80", 6);  // a NaN with a payload, another, and -0
  write_input({{{"ids", Dtype::I64, {2}}, "12345678abcdefgh"},
               {{"half", Dtype::F16, {3}}, half},
               {{"empty", Dtype::F32, {0, 4}}, ""},
               f32("a.weight", {2, 3}, kExample)});
  convert_to("fp8");
  EXPECT_EQ(test::tensor_bytes(output(), "ids"), "12345678abcdefgh");
  EXPECT_EQ(test::tensor_bytes(output(), "half"), half);
}

TEST_F(Convert, Report_tells_plan_device_and_time) {
  write_input({f32("a.weight", {2, 3}, kExample)});
  const RunReport report = convert_to("fp8");
  EXPECT_EQ(report.plan.hash(), plan_conversion(input(), options_for("fp8")).hash());
  EXPECT_THAT(report.device, testing::StartsWith("cpu ("));
  EXPECT_GE(report.seconds, 0.0);
}

TEST_F(Convert, Progress_ends_at_the_total) {
  write_input({f32("a.weight", {300, 200}, ramp(60'000)), f32("b.bias", {7}, ramp(7))});
  const RunReport report = convert_to("fp8-row");
  EXPECT_EQ(control_.total_bytes, report.plan.output.data_bytes());
  EXPECT_EQ(control_.done_bytes, control_.total_bytes);
}

TEST_F(Convert, Threads_and_memory_change_no_byte) {
  // Every kind of job; the larger tensors take many bands of 64 KiB, the smallest that there are.
  write_input({f32("rows.weight", {300, 1000}, ramp(300'000)), f32("blocks.weight", {256, 1024}, ramp(262'144)),
               f32("one.weight", {1, 100'003}, ramp(100'003)), f32("cast.bias", {100'001}, ramp(100'001)),
               f32("copy.bias", {50'000}, ramp(50'000))});
  PlanOptions options = options_for("fp8");
  options.rules = parse_rules(R"({"rules":[{"match":{"contains":"blocks"},"action":"quantize","format":"int8-block"},)"
                              R"({"match":{"contains":"rows"},"action":"quantize","format":"int8-row"},)"
                              R"({"match":{"contains":"cast"},"action":"cast","dtype":"bf16"}]})",
                              "r.json");
  convert_with(options, {.threads = 1});
  const std::string expected = read_bytes(output());
  for (const unsigned threads : {1U, 2U, 8U}) {
    for (const std::uint64_t memory : {std::uint64_t{1} << 16, std::uint64_t{3} << 20, std::uint64_t{1} << 30}) {
      convert_with(options, {.threads = threads, .memory_bytes = memory, .replace = true});
      EXPECT_TRUE(read_bytes(output()) == expected) << threads << " threads, " << memory << " bytes";
    }
  }
}

TEST_F(Convert, Shards_give_the_bytes_of_the_single_file) {
  const auto a = f32("a.weight", {64, 32}, ramp(2048));
  const auto b = f32("b.weight", {32, 64}, ramp(2048));
  write_input({a, b});
  convert_to("fp8");
  std::filesystem::create_directory(folder_ / "shards");
  test::write_model(folder_ / "shards/m-00001-of-00002.safetensors", {b});
  test::write_model(folder_ / "shards/m-00002-of-00002.safetensors", {a});
  convert(folder_ / "shards", folder_ / "merged.safetensors", options_for("fp8"), {.threads = 2}, control_);
  EXPECT_EQ(read_bytes(folder_ / "merged.safetensors"), read_bytes(output()));
}

TEST_F(Convert, Interrupted_run_leaves_nothing) {
  write_input({f32("a.weight", {300, 200}, ramp(60'000))});
  control_.stop = true;
  for (const unsigned threads : {1U, 4U}) {
    EXPECT_THAT([&] { convert_with(options_for("fp8"), {.threads = threads}); }, fails_with(ErrorKind::interrupted, "interrupted"));
    expect_no_output();
  }
}

TEST_F(Convert, Failed_run_leaves_an_existing_output_alone) {
  write_input({f32("a.weight", {1, 2}, {1.0F, NAN})});
  test::write_file(output(), "old");
  EXPECT_THAT([&] { convert_with(options_for("fp8"), {.threads = 2, .replace = true}); }, fails_with(ErrorKind::not_finite));
  EXPECT_EQ(read_bytes(output()), "old");
}

TEST_F(Convert, Input_as_output_is_refused) {
  write_input({f32("a.weight", {2, 3}, kExample)});
  const std::string before = read_bytes(input());
  EXPECT_THAT([&] { convert(input(), input(), options_for("fp8"), {.replace = true}, control_); }, fails_with(ErrorKind::same_file));
  EXPECT_EQ(read_bytes(input()), before);
}

TEST_F(Convert, Existing_output_is_refused_before_any_work) {
  write_input({f32("a.weight", {1, 2}, {1.0F, NAN})});
  test::write_file(output(), "old");
  EXPECT_THAT([&] { convert_to("fp8"); }, fails_with(ErrorKind::output_exists));
}

TEST_F(Convert, Model_without_tensors_is_converted) {
  write_input({}, {{"format", "pt"}});
  convert_to("fp8");
  EXPECT_EQ(read_bytes(output()), read_bytes(input()));
}

using Dequantize = test::ConversionTest;

TEST_F(Dequantize, Values_are_codes_times_scales) {
  write_input({f32("a.weight", {2, 3}, kExample)});
  convert_to("fp8");
  dequantize(output(), folder_ / "back.safetensors", Dtype::F32, {.threads = 2}, control_);
  const float scale = output_values<float>("a.weight_scale")[0];
  const auto values = test::values_of<float>(test::tensor_bytes(folder_ / "back.safetensors", "a.weight"));
  EXPECT_THAT(values, testing::ElementsAre(64.0F * scale, -160.0F * scale, 192.0F * scale, 0.0F, -448.0F * scale, 416.0F * scale));
}

TEST_F(Dequantize, Rows_and_blocks_find_their_own_scales) {
  // Row r holds r + 1 in every column, so that each row or block needs another scale.
  std::vector<float> values(std::size_t{256} * 128);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / 128 + 1);
  write_input({f32("a.weight", {256, 128}, values)});
  for (const char* format : {"fp8-row", "int8-row"}) {
    convert_with(options_for(format), {.threads = 2, .replace = true});
    dequantize(output(), folder_ / "back.safetensors", Dtype::F32, {.threads = 2, .memory_bytes = 1, .replace = true}, control_);
    const auto back = test::values_of<float>(test::tensor_bytes(folder_ / "back.safetensors", "a.weight"));
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(back[i], values[i], 1e-6F * values[i]) << format << " " << i;
  }
}

}  // namespace
}  // namespace halftone
