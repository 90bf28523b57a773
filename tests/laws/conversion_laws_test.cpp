// Laws of whole conversions, for every format and source type.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include <halftone/compare.hpp>
#include <halftone/convert.hpp>

#include "api/backends.hpp"
#include "formats/stored_layers.hpp"
#include "io/model_files.hpp"
#include "laws/law_case.hpp"
#include "support/model_file.hpp"
#include "support/temp_folder.hpp"

namespace halftone::test {
namespace {

struct ConversionCase {
  const FormatDescriptor* format;
  Dtype source;
};

std::ostream& operator<<(std::ostream& out, const ConversionCase& law) {
  return out << identifier(std::string(law.format->name())) << "_" << name_of(law.source);
}

std::vector<ConversionCase> all_conversions() {
  std::vector<ConversionCase> cases;
  for (const FormatDescriptor* format : all_formats()) {
    for (const Dtype source : {Dtype::F64, Dtype::F32, Dtype::BF16, Dtype::F16}) cases.push_back({format, source});
  }
  return cases;
}

class ConversionLaw : public ::testing::TestWithParam<ConversionCase> {
 protected:
  [[nodiscard]] PlanOptions options() const {
    PlanOptions options;
    options.spec.format = GetParam().format;
    options.presets = {"none"};
    keep_unfit_layers(options);
    return options;
  }

  [[nodiscard]] TensorBytes tensor(const std::string& name, std::uint64_t rows, std::uint64_t columns, std::vector<float> values) const {
    const Weight weight = make_weight(rows, columns, GetParam().source, values);
    return {TensorInfo{name, GetParam().source, {rows, columns}, 0, 0},
            std::string(reinterpret_cast<const char*>(weight.bytes.data()), weight.bytes.size())};
  }

  [[nodiscard]] TensorBytes sample(const std::string& name, std::uint64_t rows, std::uint64_t columns) const {
    return tensor(name, rows, columns, sample_values(rows * columns, static_cast<std::uint32_t>(rows + columns)));
  }

  RunReport run(const std::string& out, const RunOptions& run_options) {
    RunControl control;
    return convert(folder_ / "in.safetensors", folder_ / out, options(), run_options, control);
  }

  /// Layers of many shapes, a zero layer with both signs, and tensors that pass through.
  void write_input() {
    std::vector<float> zeros(128 * 256, 0.0F);
    zeros[3] = -0.0F;
    write_model(folder_ / "in.safetensors", {sample("a.weight", 256, 384),
                                             sample("wide.weight", 1, 640),
                                             sample("even.weight", 48, 512),
                                             sample("tall.weight", 640, 1),
                                             sample("ragged.weight", 33, 71),
                                             sample("empty.weight", 0, 64),
                                             sample("narrow.weight", 64, 0),
                                             tensor("zero.weight", 128, 256, zeros),
                                             {TensorInfo{"a.bias", Dtype::U8, {3}, 0, 0}, "abc"},
                                             {TensorInfo{"scalar", Dtype::I64, {}, 0, 0}, "12345678"}});
  }

  TempFolder folder_;
};

TEST_P(ConversionLaw, Threads_and_memory_do_not_change_a_byte) {
  write_input();
  run("one.safetensors", {.threads = 1, .memory_bytes = std::uint64_t{1} << 30});
  run("many.safetensors", {.threads = 5, .memory_bytes = 16 << 20});
  EXPECT_EQ(read_bytes(folder_ / "one.safetensors"), read_bytes(folder_ / "many.safetensors"));
}

TEST_P(ConversionLaw, A_chosen_rotation_loses_no_more_than_either_form) {
  const FormatFacts& facts = GetParam().format->facts();
  if (facts.rotation_groups.empty() || facts.plain.empty()) return;
  write_input();
  PlanOptions rotated = options();
  PlanOptions plain = options();
  PlanOptions chosen = options();
  plain.spec = {.format = &format_named(facts.plain)};
  plain.indivisible.reset();  // it takes every shape
  chosen.rotation = Rotation::automatic;
  RunControl control;
  // The squared error of each layer that is not restored exactly.
  const auto errors_of = [&](const PlanOptions& how, const std::string& out, const RunOptions& run_options) {
    convert(folder_ / "in.safetensors", folder_ / out, how, run_options, control);
    std::map<std::string, double> errors;
    for (const TensorComparison& layer : compare_models(folder_ / "in.safetensors", folder_ / out, 1).layers) {
      errors[layer.name] = layer.figures.noise;
    }
    return errors;
  };
  auto one = errors_of(chosen, "one.safetensors", {.threads = 1});
  errors_of(chosen, "many.safetensors", {.threads = 5, .memory_bytes = 16 << 20});
  EXPECT_EQ(read_bytes(folder_ / "one.safetensors"), read_bytes(folder_ / "many.safetensors"));
  auto with = errors_of(rotated, "rotated.safetensors", {.threads = 2});
  auto without = errors_of(plain, "plain.safetensors", {.threads = 2});
  const std::string divided = "even.weight";  // by the group; the others keep their precision
  EXPECT_GT(with[divided], 0.0);
  // Another order of sums in binary64.
  EXPECT_LE(one[divided], std::min(with[divided], without[divided]) * (1 + 1e-9));
}

TEST_P(ConversionLaw, Devices_do_not_change_a_byte) {
  if (!api::describe_gpus().front().usable) GTEST_SKIP() << "no usable GPU";
  if (!api::open_backend("cuda")->supports(default_spec(*GetParam().format), GetParam().source))
    return;  // refused, as a test of its own says
  write_input();
  run("cpu.safetensors", {.threads = 2, .device = "cpu"});
  for (const std::uint64_t device_memory : {std::uint64_t{0}, std::uint64_t{64} << 20}) {
    run("cuda.safetensors", {.threads = 3, .replace = true, .device = "cuda", .device_memory_bytes = device_memory});
    EXPECT_EQ(read_bytes(folder_ / "cpu.safetensors"), read_bytes(folder_ / "cuda.safetensors"));
  }
}

TEST_P(ConversionLaw, A_format_that_a_device_does_not_serve_is_refused_there_and_converted_automatically) {
  if (!api::describe_gpus().front().usable) GTEST_SKIP() << "no usable GPU";
  if (api::open_backend("cuda")->supports(default_spec(*GetParam().format), GetParam().source)) return;
  write_input();
  EXPECT_THROW(run("cuda.safetensors", {.threads = 2, .device = "cuda"}), Error);
  EXPECT_EQ(run("auto.safetensors", {.threads = 2}).device.substr(0, 3), "cpu");
}

TEST_P(ConversionLaw, The_plan_predicts_the_size) {
  write_input();
  const Plan plan = plan_conversion(folder_ / "in.safetensors", options());
  run("out.safetensors", {.threads = 2});
  EXPECT_EQ(plan.output_bytes(), std::filesystem::file_size(folder_ / "out.safetensors"));
}

TEST_P(ConversionLaw, Every_layer_is_recognised_in_the_output) {
  write_input();
  const RunReport report = run("out.safetensors", {.threads = 2});
  const io::ModelFiles files(folder_ / "out.safetensors");
  const auto layers = formats::find_quantized_layers(files.index(), files.side_texts());
  std::size_t quantized = 0;
  for (const Decision& decision : report.plan.decisions) quantized += decision.action == Action::quantize ? 1 : 0;
  EXPECT_EQ(layers.size(), quantized);
  EXPECT_GT(quantized, 0U);
  for (const auto& layer : layers) EXPECT_TRUE(layer.readable) << layer.base << " is stored as " << layer.format_text;
}

TEST_P(ConversionLaw, Dequantizing_gives_the_original_shapes_and_near_values) {
  write_input();
  run("out.safetensors", {.threads = 2});
  RunControl control;
  dequantize(folder_ / "out.safetensors", folder_ / "back.safetensors", Dtype::F32, {.threads = 2}, control);
  const io::ModelFiles original(folder_ / "in.safetensors");
  const io::ModelFiles back(folder_ / "back.safetensors");
  ASSERT_EQ(original.index().tensors().size(), back.index().tensors().size());
  for (const ModelTensor& tensor : original.index().tensors()) {
    const ModelTensor* twin = back.index().find(tensor.info.name);
    ASSERT_NE(twin, nullptr) << tensor.info.name;
    EXPECT_EQ(tensor.info.shape, twin->info.shape) << tensor.info.name;
  }
  const Comparison comparison = compare_models(folder_ / "in.safetensors", folder_ / "back.safetensors", 1);
  for (const TensorComparison& tensor : comparison.layers) {
    if (tensor.figures.signal == 0) continue;
    // E5M2 keeps two bits behind the leading one: 22 dB at the least.  Four bits, with an outlier in every
    // hundred weights, keep 10.
    EXPECT_GT(tensor.figures.sqnr_db(), GetParam().format->storage().code_bits == 8 ? 22.0 : 10.0) << tensor.name;
  }
}

TEST_P(ConversionLaw, A_zero_layer_has_zero_codes_and_scales_of_one) {
  write_input();
  run("out.safetensors", {.threads = 2});
  if (GetParam().format->grid() != ScaleGrid::none && !GetParam().format->storage().unit_scales_for_zeros) return;
  const std::string codes = tensor_bytes(folder_ / "out.safetensors", "zero.weight");
  const std::string scales = tensor_bytes(folder_ / "out.safetensors", "zero.weight_scale");
  if (GetParam().format->grid() == ScaleGrid::none) {
    EXPECT_EQ(static_cast<unsigned char>(codes[3]), 0x80U) << "a format without scales keeps the sign of zero";
    return;
  }
  EXPECT_EQ(codes, std::string(codes.size(), '\0'));
  ASSERT_FALSE(scales.empty());
  for (std::size_t i = 0; i < scales.size(); i += 4) ASSERT_EQ(scales.substr(i, 4), std::string("\x00\x00\x80\x3F", 4));
}

TEST_P(ConversionLaw, A_zero_layer_dequantizes_to_zeros) {
  write_input();
  run("out.safetensors", {.threads = 2});
  RunControl control;
  dequantize(folder_ / "out.safetensors", folder_ / "back.safetensors", Dtype::F32, {.threads = 2}, control);
  for (const TensorComparison& tensor : compare_models(folder_ / "in.safetensors", folder_ / "back.safetensors", 1).layers) {
    EXPECT_TRUE(tensor.name != "zero.weight" || tensor.figures.energy == 0.0);
  }
}

TEST_P(ConversionLaw, NaN_and_infinity_are_refused_with_tensor_and_position) {
  for (const float bad : {static_cast<float>(NAN), static_cast<float>(INFINITY), static_cast<float>(-INFINITY)}) {
    std::vector<float> values = sample_values(128 * 256, 9);
    values[5 * 256 + 17] = bad;
    values[90 * 256 + 1] = bad;
    write_model(folder_ / "in.safetensors", {tensor("blocks.0.fc.weight", 128, 256, values)});
    try {
      run("out.safetensors", {.threads = 2});
      FAIL() << "converted " << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::not_finite);
      EXPECT_NE(std::string(error.what()).find("'blocks.0.fc.weight'"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("row 5, column 17"), std::string::npos) << error.what();
    }
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors"));
    EXPECT_FALSE(std::filesystem::exists(folder_ / "out.safetensors.partial"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, ConversionLaw, ::testing::ValuesIn(all_conversions()),
                         [](const auto& law) { return ::testing::PrintToString(law.param); });

}  // namespace
}  // namespace halftone::test
