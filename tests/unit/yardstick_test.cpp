#include "eval/yardstick.hpp"

#include <numeric>

#include <gmock/gmock.h>

#include "cpu/cpu_backend.hpp"
#include "support/format_spec.hpp"

namespace halftone::eval {
namespace {

const auto kBackend = cpu::make_backend();

std::vector<float> ramp(std::size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), -50.5F);
  return values;
}

TEST(Yardstick, Bands_change_nothing) {
  for (const FormatDescriptor* format : all_formats()) {
    const QuantSpec spec = test::default_spec(*format);
    const std::uint64_t columns = format->storage().flat ? 40 : 256;
    const std::uint64_t rows = 256;
    const std::vector<float> weight = ramp(rows * columns);
    Yardstick yardstick(*kBackend, spec, columns, weight.back());
    std::vector<float> whole(weight.size());
    std::vector<float> parts(weight.size());
    yardstick.restore(weight.data(), rows, whole.data());
    for (std::uint64_t row = 0, step = yardstick.row_multiple(); row < rows; row += step) {
      yardstick.restore(weight.data() + row * columns, std::min(step, rows - row), parts.data() + row * columns);
    }
    EXPECT_EQ(whole, parts) << format->name();
  }
}

TEST(Yardstick, Restores_what_the_format_can_hold) {
  const std::vector<float> weight = {448.0F, 1.0F, -2.0F, 0.0F};
  Yardstick yardstick(*kBackend, test::default_spec(format_named("fp8")), 2, 448.0F);
  std::vector<float> out(4);
  yardstick.restore(weight.data(), 2, out.data());
  EXPECT_EQ(out, weight);
}

TEST(Yardstick, Last_flat_block_may_be_partial) {
  const std::vector<float> weight(100, 2.0F);  // a block of 64 and one of 36
  Yardstick yardstick(*kBackend, test::default_spec(format_named("nf4")), 50, 0.0F);
  std::vector<float> out(100);
  yardstick.restore(weight.data(), 2, out.data());
  EXPECT_EQ(out, weight);
}

TEST(Yardstick, Weight_of_zeros_comes_back) {
  const std::vector<float> weight(32, 0.0F);
  for (const char* format : {"fp8", "nvfp4", "int8"}) {
    Yardstick yardstick(*kBackend, test::default_spec(format_named(format)), 16, 0.0F);
    std::vector<float> out(32, 1.0F);
    yardstick.restore(weight.data(), 2, out.data());
    EXPECT_EQ(out, weight) << format;
  }
}

}  // namespace
}  // namespace halftone::eval
