#include <halftone/linear.hpp>

#include <cmath>
#include <cstring>

#include <gmock/gmock.h>

#include "cpu/cpu_backend.hpp"
#include "eval/float_reader.hpp"
#include "formats/rotation.hpp"
#include "support/format_spec.hpp"
#include "support/random_matrix.hpp"
#include "unit/conversion_test.hpp"

namespace halftone {
namespace {

using test::ExactProduct;
using test::RandomMatrix;

const auto kBackend = cpu::make_backend();
const Operations kOps("cpu");

/// Rows and columns near the wanted ones that every option of the format takes.
RandomMatrix weight_for(const FormatDescriptor& format, std::uint64_t rows, std::uint64_t columns, Dtype dtype = Dtype::BF16) {
  const QuantSpec spec = test::default_spec(format);
  const std::uint64_t wide = format.storage().flat ? columns : test::fit_columns(spec, columns);
  return {*kBackend, test::fit_rows(spec, rows), wide, dtype, 7, 0.02F};
}

LinearLayer quantized(const FormatDescriptor& format, const RandomMatrix& weight) {
  return kOps.quantize({.format = &format}, weight.view());
}

std::vector<float> outputs(Linear& linear, const RandomMatrix& x) {
  std::vector<float> y(x.rows * linear.rows());
  linear.run(x.view(), Dtype::F32, reinterpret_cast<std::byte*>(y.data()));
  return y;
}

/// Sums of binary32 stay within some units of the sum of magnitudes.
void expect_product(const std::vector<float>& y, const ExactProduct& exact, const std::string& what) {
  ASSERT_EQ(y.size(), exact.y.size()) << what;
  for (std::size_t i = 0; i < y.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(y[i]), exact.y[i], 1e-6 * exact.magnitudes[i] + 1e-30) << what << ", element " << i;
  }
}

class LinearFileTest : public test::ConversionTest {};

TEST_F(LinearFileTest, Quantize_and_plain_tensors_give_the_bytes_of_a_conversion) {
  for (const FormatDescriptor* format : all_formats()) {
    for (const Dtype dtype : {Dtype::F32, Dtype::BF16}) {
      const RandomMatrix weight = weight_for(*format, 70, 200, dtype);
      const std::string bytes(reinterpret_cast<const char*>(weight.bytes.data()), weight.bytes.size());
      write_input({{TensorInfo{"a.weight", dtype, {weight.rows, weight.columns}}, bytes}});
      convert_with(test::options_for(format->name()), {.threads = 2, .replace = true});
      const LinearLayer layer = quantized(*format, weight);
      for (const PlainTensor& tensor : kOps.plain_tensors(layer, "a.weight")) {
        const std::string expected = test::tensor_bytes(output(), tensor.name);
        ASSERT_EQ(tensor.bytes.size(), expected.size()) << format->name() << " " << tensor.name;
        EXPECT_EQ(std::memcmp(tensor.bytes.data(), expected.data(), expected.size()), 0) << format->name() << " " << tensor.name;
      }
      const LinearLayer read = read_linear_layer(output(), "a");
      EXPECT_TRUE(kOps.dequantize(read) == kOps.dequantize(layer)) << format->name();
      const eval::FloatModel model(output(), *kBackend);
      std::vector<float> values(weight.values.size());
      model.read(*model.files().index().find("a.weight"), 0, weight.rows, values.data());
      EXPECT_TRUE(kOps.dequantize(read) == values) << format->name();
    }
  }
}

TEST_F(LinearFileTest, Searched_scales_double_quantization_and_zeros_are_those_of_a_conversion) {
  for (const FormatDescriptor* format : all_formats()) {
    RandomMatrix weight = weight_for(*format, 70, 200);
    for (const bool zero : {false, true}) {
      if (zero) std::fill(weight.bytes.begin(), weight.bytes.end(), std::byte{0});
      PlanOptions options = test::options_for(format->name());
      if (can_search_scales(*format)) options.spec.scales = ScaleMethod::search;
      options.spec.double_quant = format->facts().takes_double_quant;
      const std::string bytes(reinterpret_cast<const char*>(weight.bytes.data()), weight.bytes.size());
      write_input({{TensorInfo{"a.weight", weight.dtype, {weight.rows, weight.columns}}, bytes}});
      convert_with(options, {.threads = 2, .replace = true});
      const LinearLayer layer = kOps.quantize(options.spec, weight.view());
      for (const PlainTensor& tensor : kOps.plain_tensors(layer, "a.weight")) {
        const std::string expected = test::tensor_bytes(output(), tensor.name);
        const std::string found(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
        EXPECT_TRUE(found == expected) << format->name() << " " << tensor.name << (zero ? ", zeros" : "");
      }
    }
  }
}

TEST_F(LinearFileTest, A_layer_brings_its_bias_and_input_scale) {
  write_input({test::f32("a.weight", {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}), test::f32("a.bias", {2}, {10, 20})});
  PlanOptions options = test::options_for("fp8");
  options.spec.input_scale = true;
  convert_with(options);
  const LinearLayer layer = read_linear_layer(output(), "a.weight");
  EXPECT_THAT(layer.bias, testing::ElementsAre(10.0F, 20.0F));
  EXPECT_EQ(layer.input_scale, 1.0F);
  EXPECT_THAT([&] { (void)read_linear_layer(output(), "b"); }, test::fails_with(ErrorKind::usage, "no quantized layer 'b'"));
}

TEST(Linear, Plain_inputs_meet_the_dequantized_weight) {
  for (const FormatDescriptor* format : all_formats()) {
    // Other rows than those of a band, too.
    for (const std::uint64_t rows : {1U, 70U, 300U}) {
      LinearLayer layer = quantized(*format, weight_for(*format, rows, 200));
      layer.bias = RandomMatrix(*kBackend, 1, layer.rows, Dtype::F32, 3).values;
      for (const std::uint64_t n : {0U, 1U, 5U}) {
        const RandomMatrix x(*kBackend, n, layer.columns, Dtype::BF16, 11);
        const auto linear = kOps.linear(layer, Activations::plain);
        expect_product(outputs(*linear, x), ExactProduct(x.values, kOps.dequantize(layer), layer.columns, layer.bias),
                       std::string(format->name()));
      }
    }
  }
}

/// `n` values divided by max(largest / limit, smallest) and rounded to integers, and that scale.
float rounded_to_integers(const float* x, std::uint64_t n, float limit, std::vector<double>& codes) {
  float largest = 0;
  for (std::uint64_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(x[i]));
  const float scale = std::max(largest / limit, 1e-30F);
  for (std::uint64_t i = 0; i < n; ++i) codes.push_back(static_cast<double>(std::nearbyint(x[i] / scale)));
  return scale;
}

/// The product of INT8 rows as ComfyUI computes it: integers, then both scales.
TEST(Linear, Int8_rows_are_integer_products) {
  const FormatDescriptor& format = format_named("int8-row");
  const RandomMatrix weight = weight_for(format, 33, 190);
  const RandomMatrix x(*kBackend, 4, weight.columns, Dtype::BF16, 5, 3.0F);
  const LinearLayer layer = quantized(format, weight);
  const auto y = outputs(*kOps.linear(layer, Activations::dynamic), x);
  for (std::uint64_t row = 0; row < x.rows; ++row) {
    std::vector<double> codes;
    const float scale = rounded_to_integers(x.values.data() + row * x.columns, x.columns, 127.0F, codes);
    for (std::uint64_t out = 0; out < layer.rows; ++out) {
      double sum = 0;
      for (std::uint64_t i = 0; i < x.columns; ++i) {
        sum += codes[i] * static_cast<double>(static_cast<std::int8_t>(layer.codes[out * x.columns + i]));
      }
      float of_row = 0;
      std::memcpy(&of_row, layer.scales.data() + out * sizeof of_row, sizeof of_row);
      const double expected = sum * static_cast<double>(scale) * static_cast<double>(of_row);
      EXPECT_NEAR(static_cast<double>(y[row * layer.rows + out]), expected, 1e-5 * std::abs(expected) + 1e-4);
    }
  }
}

/// Signal over noise, as a ratio of squares.
double ratio_of(const std::vector<float>& y, const std::vector<double>& exact) {
  double signal = 0;
  double noise = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    signal += exact[i] * exact[i];
    noise += (static_cast<double>(y[i]) - exact[i]) * (static_cast<double>(y[i]) - exact[i]);
  }
  return signal / noise;
}

TEST(Linear, Quantized_inputs_lose_what_their_codes_cannot_hold) {
  for (const FormatDescriptor* format : all_formats()) {
    const LinearLayer layer = quantized(*format, weight_for(*format, 64, 256));
    if (!can_quantize_activations(layer)) continue;
    const RandomMatrix x(*kBackend, 16, layer.columns, Dtype::BF16, 5);
    const ExactProduct exact(x.values, kOps.dequantize(layer), layer.columns);
    const double found = ratio_of(outputs(*kOps.linear(layer, Activations::dynamic), x), exact.y);
    // Codes of 3 bits of mantissa give more than 28 dB, those of 4 bits more than 15 dB; no code gives 70 dB.
    const bool four_bits = format->storage().code_bits == 4 && format->name() != "w4a8";
    EXPECT_GT(found, four_bits ? 30.0 : 600.0) << format->name();
    EXPECT_LT(found, 1e7) << format->name();
  }
}

TEST(Linear, Fp8_takes_the_input_scale_of_its_layer_as_the_loader_does) {
  LinearLayer layer = kOps.quantize({.format = &format_named("fp8")}, RandomMatrix(*kBackend, 1, 1, Dtype::F32, 1).view());
  layer.tensor_scale = 1.0F;
  layer.codes = {std::byte{0x38}};  // 1.0
  const std::vector<float> value = {1000.0F};
  const MatrixView x{reinterpret_cast<const std::byte*>(value.data()), Dtype::F32, 1, 1};
  const auto product = [&](Activations activations) {
    float y = 0;
    kOps.linear(layer, activations)->run(x, Dtype::F32, reinterpret_cast<std::byte*>(&y));
    return y;
  };
  EXPECT_EQ(product(Activations::loader), 448.0F);  // without a scale: clamped
  layer.input_scale = 4.0F;
  EXPECT_EQ(product(Activations::loader), 1024.0F);  // 250 is rounded to 256
  EXPECT_NEAR(product(Activations::dynamic), 1000.0F, 1e-3F);
}

TEST(Linear, Rotated_inputs_meet_rotated_weights) {
  const FormatDescriptor& format = format_named("int8-convrot");
  const LinearLayer layer = quantized(format, weight_for(format, 8, 256));
  RandomMatrix x(*kBackend, 2, layer.columns, Dtype::F32, 5);
  LinearLayer unrotated = layer;
  unrotated.spec.rotation_group = 0;
  std::vector<float> turned = x.values;
  formats::rotate_groups(turned.data(), turned.size(), 256);
  std::vector<float> rounded;
  for (std::uint64_t row = 0; row < x.rows; ++row) {
    std::vector<double> codes;
    const float scale = rounded_to_integers(turned.data() + row * x.columns, x.columns, 127.0F, codes);
    for (const double code : codes) rounded.push_back(static_cast<float>(code) * scale);
  }
  expect_product(outputs(*kOps.linear(layer, Activations::dynamic), x), ExactProduct(rounded, kOps.dequantize(unrotated), layer.columns),
                 "int8-convrot");
}

TEST(Linear, Threads_change_nothing) {
  const FormatDescriptor& format = format_named("fp8-block");
  const LinearLayer layer = quantized(format, weight_for(format, 1000, 200));
  const RandomMatrix x(*kBackend, 3, layer.columns, Dtype::F16, 5);
  EXPECT_EQ(outputs(*Operations("cpu", 1).linear(layer, Activations::dynamic), x),
            outputs(*Operations("cpu", 4).linear(layer, Activations::dynamic), x));
}

TEST(Linear, Outputs_are_rounded_to_their_type) {
  const FormatDescriptor& format = format_named("int8-row");
  const LinearLayer layer = quantized(format, weight_for(format, 5, 64));
  const RandomMatrix x(*kBackend, 3, layer.columns, Dtype::F16, 5);
  const auto linear = kOps.linear(layer, Activations::plain);
  const std::vector<float> exact = outputs(*linear, x);
  for (const Dtype dtype : {Dtype::BF16, Dtype::F16}) {
    std::vector<std::byte> expected(exact.size() * 2);
    std::vector<std::byte> found(exact.size() * 2);
    kBackend->from_float(exact.data(), exact.size(), dtype, expected.data());
    linear->run(x.view(), dtype, found.data());
    EXPECT_EQ(found, expected);
  }
}

TEST(Linear, Dense_weights_multiply_as_they_are) {
  const RandomMatrix weight(*kBackend, 300, 77, Dtype::BF16, 1);
  const RandomMatrix x(*kBackend, 3, 77, Dtype::F32, 2);
  const std::vector<float> bias = RandomMatrix(*kBackend, 1, 300, Dtype::F32, 3).values;
  expect_product(outputs(*kOps.dense(weight.view(), bias), x), ExactProduct(x.values, weight.values, 77, bias), "dense");
}

TEST(Linear, Refuses_what_does_not_fit) {
  const FormatDescriptor& format = format_named("fp8");
  const RandomMatrix weight(*kBackend, 4, 8, Dtype::F32, 1);
  LinearLayer layer = quantized(format, weight);
  const auto run_with = [&](std::uint64_t columns, Dtype in, Dtype out) {
    const std::vector<std::byte> x(columns * 8);
    std::vector<std::byte> y(64);
    kOps.linear(layer, Activations::plain)->run({x.data(), in, 1, columns}, out, y.data());
  };
  EXPECT_THAT([&] { run_with(7, Dtype::F32, Dtype::F32); }, test::fails_with(ErrorKind::usage, "8 columns, not 7"));
  EXPECT_THAT([&] { run_with(8, Dtype::I8, Dtype::F32); }, test::fails_with(ErrorKind::usage, "F32, BF16 or F16, not I8"));
  EXPECT_THAT([&] { run_with(8, Dtype::F32, Dtype::I8); }, test::fails_with(ErrorKind::usage, "F32, BF16 or F16, not I8"));
  layer.bias = {1.0F};
  EXPECT_THAT([&] { (void)kOps.linear(layer, Activations::plain); }, test::fails_with(ErrorKind::usage, "4 rows", "not 1"));
  layer.bias.clear();
  layer.codes.pop_back();
  EXPECT_THAT([&] { (void)kOps.linear(layer, Activations::plain); }, test::fails_with(ErrorKind::bad_quantization, "31 bytes, not 32"));
  const LinearLayer nf4 = quantized(format_named("nf4"), RandomMatrix(*kBackend, 4, 64, Dtype::F32, 1));
  EXPECT_THAT([&] { (void)kOps.linear(nf4, Activations::loader); }, test::fails_with(ErrorKind::unsupported, "nf4", "weights alone"));
  RandomMatrix broken = weight;
  broken.values[5] = std::nanf("");
  std::memcpy(broken.bytes.data(), broken.values.data(), broken.bytes.size());
  EXPECT_THAT([&] { (void)quantized(format, broken); }, test::fails_with(ErrorKind::not_finite, "weight"));
  EXPECT_THAT([&] { (void)quantized(format_named("fp8-block"), weight); },
              test::fails_with(ErrorKind::unsupported, "fp8-block", "block size"));
}

TEST(Transpose, Exchanges_rows_and_columns_of_codes_and_scales) {
  int transposed = 0;
  for (const FormatDescriptor* format : all_formats()) {
    const LinearLayer layer = quantized(*format, weight_for(*format, 70, 200));
    if (const Support can = can_transpose(*format); !can) {
      EXPECT_THAT([&] { (void)kOps.transpose(layer); }, test::fails_with(ErrorKind::unsupported, std::string(format->name()), can.reason));
      continue;
    }
    ++transposed;
    const LinearLayer turned = kOps.transpose(layer);
    ASSERT_EQ(turned.rows, layer.columns);
    const std::vector<float> values = kOps.dequantize(layer);
    const std::vector<float> found = kOps.dequantize(turned);
    for (std::uint64_t row = 0; row < layer.rows; ++row) {
      for (std::uint64_t column = 0; column < layer.columns; ++column) {
        ASSERT_EQ(found[column * layer.rows + row], values[row * layer.columns + column]) << format->name();
      }
    }
    EXPECT_TRUE(kOps.dequantize(kOps.transpose(turned)) == values) << format->name();
    const RandomMatrix x(*kBackend, 2, turned.columns, Dtype::BF16, 5);
    expect_product(outputs(*kOps.linear(turned, Activations::plain), x), ExactProduct(x.values, found, turned.columns),
                   std::string(format->name()));
  }
  EXPECT_EQ(transposed, 8);
}

TEST(Transpose, Scales_of_columns_are_nothing_for_files_and_quantized_inputs) {
  const FormatDescriptor& format = format_named("int8-row");
  const LinearLayer turned = kOps.transpose(quantized(format, weight_for(format, 7, 9)));
  EXPECT_THAT([&] { (void)kOps.plain_tensors(turned, "a.weight"); }, test::fails_with(ErrorKind::unsupported, "int8-row", "each column"));
  EXPECT_THAT([&] { (void)kOps.linear(turned, Activations::dynamic); }, test::fails_with(ErrorKind::unsupported, "int8-row", "columns"));
}

TEST(OperationTable, Says_how_each_format_is_multiplied) {
  for (const FormatDescriptor* format : all_formats()) EXPECT_FALSE(linear_facts(*format).product.empty()) << format->name();
  EXPECT_TRUE(linear_facts(format_named("fp8")).fast);
  EXPECT_FALSE(linear_facts(format_named("fp8-cast")).fast);
  EXPECT_EQ(linear_facts(format_named("nf4")).activations, "");
  EXPECT_EQ(linear_facts(format_named("int8-convrot")).activations, "INT8, one scale for each row");
}

}  // namespace
}  // namespace halftone
