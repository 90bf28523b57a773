// What holds for the linear layers of every format on every device.

#include <halftone/linear.hpp>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "cpu/linear.hpp"
#include "formats/rotation.hpp"
#include "laws/law_case.hpp"
#include "ops/layer_operations.hpp"
#include "support/random_matrix.hpp"

namespace halftone {
namespace {

using test::ExactProduct;
using test::RandomMatrix;

const auto kBackend = cpu::make_backend();

/// A format on a device.
struct LinearCase {
  const FormatDescriptor* format;
  std::string device;
};

std::ostream& operator<<(std::ostream& out, const LinearCase& law) {
  return out << test::identifier(std::string(law.format->name())) << "_" << law.device;
}

std::vector<LinearCase> all_linear_cases() {
  std::vector<std::string> devices = {"cpu"};
  for (const test::NamedBackend& backend : test::all_backends()) {
    if (backend.name == "cuda") devices.push_back("cuda");
  }
  std::vector<LinearCase> cases;
  for (const FormatDescriptor* format : all_formats()) {
    for (const std::string& device : devices) cases.push_back({format, device});
  }
  return cases;
}

class LinearLaw : public testing::TestWithParam<LinearCase> {
 protected:
  [[nodiscard]] const FormatDescriptor& format() const { return *GetParam().format; }

  /// A layer near these sizes; block formats have the block that products have kernels for where `wide`.
  [[nodiscard]] LinearLayer layer(std::uint64_t rows, std::uint64_t columns, float scale = 0.02F, bool wide = true) const {
    QuantSpec spec = test::default_spec(format());
    if (wide && format().grid() == ScaleGrid::block) spec.block_size = 128;
    const std::uint64_t width = format().storage().flat ? columns : test::fit_columns(spec, columns);
    const RandomMatrix weight(*kBackend, test::fit_rows(spec, rows), width, Dtype::BF16, 7, scale);
    LinearLayer made = ops_.quantize(spec, weight.view());
    made.bias = RandomMatrix(*kBackend, 1, made.rows, Dtype::BF16, 3, scale).values;
    return made;
  }

  /// Inputs of this many rows, and what the codes stand for that they become.
  struct Expected {
    std::vector<float> x;
    std::vector<float> weight;
  };
  [[nodiscard]] static Expected expected(const LinearLayer& layer, Activations activations, const RandomMatrix& x) {
    const formats::StoredMatrix matrix = ops::matrix_of(layer, true);
    Expected found{x.values, std::vector<float>(layer.rows * layer.columns)};
    matrix.read(*kBackend, 0, layer.rows, found.weight.data());
    if (layer.spec.rotation_group != 0) formats::rotate_groups(found.x.data(), found.x.size(), layer.spec.rotation_group);
    cpu::round_activations(layer, activations, found.x.data(), x.rows);
    return found;
  }

  /// Runs the layer and compares with sums in binary64.  On the way to its products a GPU rounds to BF16 up to three times (a
  /// decoded weight, its inputs, their rounded values), each time by at most 2^-9.  Where errors are to either side, that of a
  /// product has a deviation of at most 2^-9, and six deviations of the sum are allowed.  Where one scale serves all codes, those
  /// of equal mantissas are rounded alike, and the sum itself may be off by 2^-9 for weights and for inputs.  The sums of the
  /// tensor cores lose less than 1e-4 of the sum of magnitudes.  A wrong index or scale gives an error like the sum itself.
  void expect_products(const LinearLayer& layer, Activations activations, const RandomMatrix& x, Dtype out) const {
    const auto linear = ops_.linear(layer, activations);
    std::vector<std::byte> bytes(x.rows * layer.rows * bits_of(out) / 8);
    linear->run(x.view(), out, bytes.data());
    std::vector<float> y(x.rows * layer.rows);
    kBackend->to_float(out, bytes.data(), y.size(), y.data());
    const Expected values = expected(layer, activations, x);
    const ExactProduct exact(values.x, values.weight, layer.columns, layer.bias);
    const bool cpu = GetParam().device == "cpu";
    const double of_sum = cpu ? 1e-6 : 1e-4;
    const double of_root = cpu ? 0 : 6 * 0x1p-9;
    const double of_output = (out == Dtype::F32 ? 0 : 0.004) + (cpu ? 0 : 2 * 0x1p-9);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double allowed = of_sum * exact.magnitudes[i] + of_root * exact.roots[i] + of_output * std::abs(exact.y[i]) + 1e-30;
      ASSERT_NEAR(static_cast<double>(y[i]), exact.y[i], allowed)
          << "output " << i % layer.rows << " of row " << i / layer.rows << ", " << x.rows << " x " << layer.rows << " x " << layer.columns
          << ", " << linear->method();
    }
  }

  void expect_all(const LinearLayer& layer, std::uint64_t n, Dtype out = Dtype::BF16, float scale = 1.0F) const {
    const RandomMatrix x(*kBackend, n, layer.columns, Dtype::BF16, 11, scale);
    expect_products(layer, Activations::plain, x, out);
    if (can_quantize_activations(layer)) expect_products(layer, Activations::dynamic, x, out);
  }

  Operations ops_{GetParam().device};
};

TEST_P(LinearLaw, Any_number_of_rows_is_multiplied) {
  const LinearLayer some = layer(128, 256);
  for (const std::uint64_t n : {0U, 1U, 3U, 8U, 9U, 16U, 17U, 33U, 100U, 256U}) expect_all(some, n);
}

TEST_P(LinearLaw, Sizes_need_fit_no_block) {
  for (const auto& [rows, columns] : {std::pair{9U, 7U}, {1U, 70U}, {5U, 33U}, {17U, 48U}, {130U, 300U}, {300U, 1040U}}) {
    const std::uint64_t even = columns + (format().storage().code_bits == 4 ? columns % 2 : 0);
    for (const std::uint64_t n : {1U, 20U}) expect_all(layer(rows, even, 0.02F, false), n);
  }
}

TEST_P(LinearLaw, Outputs_have_the_type_that_is_asked_for) {
  const LinearLayer some = layer(128, 256);
  for (const Dtype out : {Dtype::F32, Dtype::BF16, Dtype::F16}) {
    for (const std::uint64_t n : {2U, 20U}) expect_all(some, n, out);
  }
}

TEST_P(LinearLaw, Scales_may_be_very_large_and_very_small) {
  const bool bounded = format().facts().largest_weight < 1e7F;
  for (const float scale : {1e-6F, bounded ? 16.0F : 1e6F}) {
    const LinearLayer some = layer(64, 256, scale);
    for (const std::uint64_t n : {2U, 20U}) expect_all(some, n, Dtype::F32, 1.0F / scale);
  }
}

TEST_P(LinearLaw, Given_input_scales_are_taken) {
  LinearLayer some = layer(128, 256);
  if (!can_quantize_activations(some)) return;
  some.input_scale = 0.01F;
  const RandomMatrix x(*kBackend, 20, some.columns, Dtype::BF16, 11);
  expect_products(some, Activations::loader, x, Dtype::BF16);
  some.input_scale.reset();
  expect_products(some, Activations::loader, x, Dtype::BF16);
}

TEST_P(LinearLaw, Equal_runs_give_equal_bytes) {
  const LinearLayer some = layer(128, 512);
  const RandomMatrix x(*kBackend, 20, some.columns, Dtype::BF16, 11);
  const auto linear = ops_.linear(some, Activations::plain);
  std::vector<std::byte> first(20 * some.rows * 2);
  std::vector<std::byte> second(first.size());
  linear->run(x.view(), Dtype::BF16, first.data());
  linear->run(x.view(), Dtype::BF16, second.data());
  EXPECT_EQ(first, second);
}

TEST_P(LinearLaw, Transposed_layers_are_multiplied) {
  if (!can_transpose(format())) return;
  const LinearLayer some = ops_.transpose(layer(128, 256));
  const std::vector<float> weight = ops_.dequantize(some);
  const RandomMatrix x(*kBackend, 5, some.columns, Dtype::BF16, 11);
  std::vector<float> y(x.rows * some.rows);
  ops_.linear(some, Activations::plain)->run(x.view(), Dtype::F32, reinterpret_cast<std::byte*>(y.data()));
  const ExactProduct exact(x.values, weight, some.columns);
  for (std::size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(static_cast<double>(y[i]), exact.y[i], 1e-3 * exact.magnitudes[i]) << i;
  if (!some.scales_of_columns && can_quantize_activations(some)) expect_products(some, Activations::dynamic, x, Dtype::BF16);
}

INSTANTIATE_TEST_SUITE_P(All, LinearLaw, testing::ValuesIn(all_linear_cases()), testing::PrintToStringParamName());

}  // namespace
}  // namespace halftone
