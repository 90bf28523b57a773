// The example of halftone/linear.hpp: quantize a weight, multiply with it, see what that costs.

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <halftone/linear.hpp>

namespace halftone {
namespace {

TEST(LinearExample, Multiplies_with_a_quantized_weight) {
  std::vector<float> values(64 * 32);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  const MatrixView weight{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, 64, 32};
  const MatrixView x{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, 2, 32};

  const Operations ops("cpu");
  const LinearLayer layer = ops.quantize({.format = &format_named("fp8-row")}, weight);
  const auto linear = ops.linear(layer, Activations::dynamic);
  std::vector<float> y(2 * 64);
  linear->run(x, Dtype::F32, reinterpret_cast<std::byte*>(y.data()));

  for (std::size_t out = 0; out < 64; ++out) {
    double exact = 0;
    for (std::size_t i = 0; i < 32; ++i) exact += static_cast<double>(values[i]) * static_cast<double>(values[out * 32 + i]);
    EXPECT_NEAR(y[out], exact, 0.05 * std::sqrt(32.0)) << out;  // half a unit of E4M3 is 1/16 of a value at most
  }
}

}  // namespace
}  // namespace halftone
