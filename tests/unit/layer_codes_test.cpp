#include "eval/layer_codes.hpp"

#include <algorithm>
#include <numeric>

#include <gmock/gmock.h>

#include "cpu/cpu_backend.hpp"
#include "ops/layer_operations.hpp"
#include "support/format_spec.hpp"
#include "support/random_matrix.hpp"

namespace halftone::eval {
namespace {

const auto kBackend = cpu::make_backend();

/// A weight in a format.  Shapes are such that blocks, runs and padding end within rows where a format lets them.
struct Quantized {
  explicit Quantized(const FormatDescriptor& format)
      : spec(test::default_spec(format)),
        weight(*kBackend, test::fit_rows(spec, 70), format.storage().flat ? 41 : test::fit_columns(spec, 200), Dtype::F32, 7, 0.5F),
        layer(ops::quantize_layer(*kBackend, spec, weight.view())) {}

  QuantSpec spec;
  test::RandomMatrix weight;
  LinearLayer layer;
};

TEST(StoredCodes, Make_up_the_values) {
  for (const FormatDescriptor* format : all_formats()) {
    SCOPED_TRACE(format->name());
    const Quantized quantized(*format);
    const formats::StoredMatrix stored = ops::matrix_of(quantized.layer, true);
    std::vector<float> expected(quantized.weight.values.size());
    stored.read(*kBackend, 0, stored.rows(), expected.data());
    const formats::LayerLayout& layout = stored.layout();
    std::vector<std::uint8_t> codes(layout.columns());
    std::vector<float> found;
    for (std::uint64_t row = 0; row < layout.rows(); ++row) {
      stored.unpack_codes(row, codes.data());
      for (std::uint64_t i = 0; i < layout.columns() && found.size() < expected.size(); ++i) {
        const float scale = stored.group_scale(row, i / layout.group_columns());
        const float value = stored.value_of(codes[i], scale);
        found.push_back(layout.row_scale_bytes() != 0 ? value * stored.row_scale(row) : value);
      }
    }
    EXPECT_EQ(found, expected);
  }
}

TEST(LayerCodes, Bands_change_nothing) {
  for (const FormatDescriptor* format : all_formats()) {
    SCOPED_TRACE(format->name());
    const Quantized quantized(*format);
    const formats::StoredMatrix stored = ops::matrix_of(quantized.layer);
    LayerCodes whole(stored, quantized.spec);
    LayerCodes parts(stored, quantized.spec);
    const std::vector<float>& weight = quantized.weight.values;
    whole.add(weight.data(), 0, stored.rows());
    for (std::uint64_t row = 0, step = stored.row_multiple(); row < stored.rows(); row += step) {
      parts.add(weight.data() + row * stored.columns(), row, std::min(step, stored.rows() - row));
    }
    EXPECT_EQ(whole.codes().counts, parts.codes().counts);
    EXPECT_EQ(whole.scales().counts, parts.scales().counts);
    EXPECT_EQ(whole.scales().first, parts.scales().first);
    EXPECT_EQ(whole.clipped(), parts.clipped());
    const auto& counts = whole.codes().counts;
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}), weight.size());
  }
}

TEST(LayerCodes, Every_scale_is_counted_once) {
  for (const FormatDescriptor* format : all_formats()) {
    SCOPED_TRACE(format->name());
    const Quantized quantized(*format);
    const formats::StoredMatrix stored = ops::matrix_of(quantized.layer);
    LayerCodes codes(stored, quantized.spec);
    codes.add(quantized.weight.values.data(), 0, stored.rows());
    const ScaleHistogram scales = codes.scales();
    const std::uint64_t found = std::accumulate(scales.counts.begin(), scales.counts.end(), scales.zeros);
    const formats::LayerLayout& layout = stored.layout();
    const std::uint64_t across = base::ceil_div(layout.columns(), std::max<std::uint64_t>(layout.group_columns(), 1));
    std::uint64_t expected = base::ceil_div(layout.rows(), layout.group_rows()) * across;
    if (format->grid() == ScaleGrid::tensor) expected = 1;
    if (format->grid() == ScaleGrid::none) expected = 0;
    EXPECT_EQ(found, expected);
  }
}

TEST(LayerCodes, Weight_beyond_the_outermost_code_is_clipped) {
  const Quantized quantized(format_named("int8"));
  const formats::StoredMatrix stored = ops::matrix_of(quantized.layer);
  std::vector<float> weight(quantized.weight.values.size());
  const float scale = stored.group_scale(0, 0);
  weight[0] = 127.4F * scale;
  weight[1] = 127.6F * scale;
  weight[2] = -128.4F * scale;
  weight[3] = -128.6F * scale;
  LayerCodes codes(stored, quantized.spec);
  codes.add(weight.data(), 0, stored.rows());
  EXPECT_EQ(codes.clipped(), 2U);
}

TEST(CodeHistogram, Entropy_is_that_of_the_shares) {
  const CodeHistogram codes{{2, 1, 1, 0}, {0, 1, 2, 3}};
  EXPECT_DOUBLE_EQ(codes.entropy_bits(), 1.5);
  EXPECT_EQ(codes.codes_used(), 3U);
}

}  // namespace
}  // namespace halftone::eval
