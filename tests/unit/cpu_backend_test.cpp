#include "cpu/cpu_backend.hpp"

#include <numeric>

#include <gmock/gmock.h>

#include <halftone/codec/half.hpp>

#include "unit/fails_with.hpp"
#include "unit/printers.hpp"

namespace halftone::cpu {
namespace {

using codec::bits;
using testing::ElementsAre;

/// Codes and scale bits of a small weight.
struct Quantized {
  std::vector<int> codes;
  std::vector<std::uint32_t> scales;
};

class CpuBackends : public testing::TestWithParam<const KernelTable*> {
 protected:
  /// Quantizes binary32 values with `format`; formats with one scale per tensor report it, too.
  [[nodiscard]] Quantized quantize(const char* format, std::uint64_t columns, const std::vector<float>& values,
                                   std::uint32_t block_size = 0) const {
    const QuantSpec spec{&format_named(format), block_size, false, false};
    const MatrixView band{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, values.size() / columns, columns};
    const auto shape = spec.format->scale_shape({band.rows, band.columns}, spec);
    std::vector<float> scales(shape ? element_count(*shape) : 0);
    std::vector<std::byte> codes(values.size());
    const float amax = codec::from_bits(backend_->max_magnitude(band));
    const bool per_tensor = spec.format->grid() == ScaleGrid::tensor;
    EXPECT_EQ(backend_->quantize(spec, band, amax, {codes.data(), per_tensor || !shape ? nullptr : scales.data()}), bits(amax));
    if (per_tensor) scales[0] = stored_scale(*spec.format, amax);
    Quantized result;
    for (const std::byte code : codes) result.codes.push_back(static_cast<int>(code));
    for (const float scale : scales) result.scales.push_back(bits(scale));
    return result;
  }

  const std::unique_ptr<Backend> backend_ = make_backend(*GetParam());
};

INSTANTIATE_TEST_SUITE_P(All, CpuBackends, testing::ValuesIn(usable_kernels()),
                         [](const auto& tested) { return std::string(tested.param->instruction_set); });

int code_of(int value) { return value & 0xFF; }

TEST_P(CpuBackends, Name_tells_the_instruction_set) {
  EXPECT_EQ(backend_->name(), "cpu (" + std::string(GetParam()->instruction_set) + ")");
}

TEST_P(CpuBackends, Only_floats_are_supported_and_the_reason_names_the_type) {
  const QuantSpec spec{&format_named("fp8"), 0, false, false};
  for (const Dtype dtype : {Dtype::F64, Dtype::F32, Dtype::BF16, Dtype::F16})
    EXPECT_TRUE(backend_->supports(spec, dtype)) << name_of(dtype);
  EXPECT_THAT(backend_->supports(spec, Dtype::I8).reason, testing::HasSubstr("I8"));
}

// The worked examples of formats.md, by section.

TEST_P(CpuBackends, Fp8_example_A_of_5_1) {
  const Quantized out = quantize("fp8", 3, {0.1F, -0.25F, 0.3F, 0.0F, -0.7F, 0.65F});
  EXPECT_THAT(out.codes, ElementsAre(0x68, 0xF2, 0x74, 0x00, 0xFE, 0x7D));
  EXPECT_THAT(out.scales, ElementsAre(0x3ACCCCCD));
}

TEST_P(CpuBackends, Fp8_example_B_of_5_1) {
  const Quantized out = quantize("fp8", 2, {1.5F, 0.0087890625F});
  EXPECT_THAT(out.codes, ElementsAre(0x7E, 0x43));
  EXPECT_THAT(out.scales, ElementsAre(0x3B5B6DB6));
}

TEST_P(CpuBackends, Fp8_zero_keeps_its_sign_beside_other_values) {
  EXPECT_THAT(quantize("fp8", 3, {-0.0F, 0.0F, 1.0F}).codes, ElementsAre(0x80, 0x00, 0x7E));
}

TEST_P(CpuBackends, Fp8_zero_row_of_5_2_has_a_tiny_scale) {
  const Quantized out = quantize("fp8-row", 3, {0.1F, -0.25F, 0.7F, 0.0F, -0.0F, 0.0F});
  EXPECT_THAT(out.codes, ElementsAre(0x68, 0xF2, 0x7E, 0x00, 0x80, 0x00));
  EXPECT_THAT(out.scales, ElementsAre(0x3ACCCCCD, 0x2720D7C5));
}

TEST_P(CpuBackends, Fp8_tile_of_5_3_covers_its_rows_and_columns) {
  // Scale [1][2] of (256, 384) in blocks of 128 covers rows 128 to 255 and columns 256 to 383.
  std::vector<float> values(std::size_t{256} * 384, 1.0F);
  for (const auto& [row, column] : {std::pair{128, 256}, {255, 383}}) values[static_cast<std::size_t>(row * 384 + column)] = 1.5F;
  const Quantized out = quantize("fp8-block", 384, values, 128);
  const std::uint32_t one = quantize("fp8", 1, {1.0F}).scales[0];
  EXPECT_THAT(out.scales, ElementsAre(one, one, one, one, one, 0x3B5B6DB6));
}

TEST_P(CpuBackends, Int8_trap_of_5_6) {
  const Quantized out = quantize("int8", 2, {1.1171875F, 0.55859375F});
  EXPECT_THAT(out.codes, ElementsAre(127, 63));
  EXPECT_THAT(out.scales, ElementsAre(0x3C102041));
}

TEST_P(CpuBackends, Int8_row_examples_of_5_7) {
  const Quantized out = quantize("int8-row", 5, {0.5F, -0.123F, 0.25F, 0.0019685F, -0.5F, 1.5F, -1.5F, 0.0F, 0.0F, 0.0F});
  EXPECT_THAT(out.codes, ElementsAre(127, code_of(-31), 64, 0, code_of(-127), 127, code_of(-127), 0, 0, 0));
  EXPECT_THAT(out.scales, ElementsAre(0x3B810204, 0x3C418305));
}

TEST_P(CpuBackends, Int8_row_trap_of_5_7) { EXPECT_THAT(quantize("int8-row", 2, {1.0546875F, 0.52734375F}).codes, ElementsAre(127, 63)); }

TEST_P(CpuBackends, Int8_zero_row_of_5_7_has_a_tiny_scale) {
  const Quantized out = quantize("int8-row", 2, {0.0F, -0.0F, 1.5F, 0.0F});
  EXPECT_THAT(out.codes, ElementsAre(0, 0, 127, 0));
  EXPECT_THAT(out.scales, ElementsAre(0x280DD87D, 0x3C418305));
}

TEST_P(CpuBackends, Int8_zero_tile_of_5_9_has_the_smallest_scale) {
  std::vector<float> values(std::size_t{64} * 128, 0.0F);
  values[64] = 1.5F;  // the first element of the second tile
  EXPECT_THAT(quantize("int8-block", 128, values, 64).scales, ElementsAre(0x322BCC77, 0x3C418306));
}

TEST_P(CpuBackends, Cast_keeps_values_and_the_sign_of_zero) {
  const Quantized out = quantize("fp8-cast", 4, {17.0F, -448.0F, -0.0F, 0x1p-9F});
  EXPECT_THAT(out.codes, ElementsAre(0x58, 0xFE, 0x80, 0x01));
  EXPECT_TRUE(out.scales.empty());
}

TEST_P(CpuBackends, Wide_source_is_rounded_to_binary32_first) {
  const double value = 1.0 + 0x1p-24 + 0x1p-40;  // above a tie of binary32
  const MatrixView band{reinterpret_cast<const std::byte*>(&value), Dtype::F64, 1, 1};
  EXPECT_EQ(backend_->max_magnitude(band), bits(1.0F + 0x1p-23F));
}

TEST_P(CpuBackends, Double_beyond_binary32_shows_as_infinity) {
  const double value = -1e300;
  EXPECT_EQ(backend_->max_magnitude({reinterpret_cast<const std::byte*>(&value), Dtype::F64, 1, 1}), codec::kInfinityBits);
}

TEST_P(CpuBackends, Empty_band_has_magnitude_zero) { EXPECT_EQ(backend_->max_magnitude({nullptr, Dtype::BF16, 0, 16}), 0U); }

TEST_P(CpuBackends, Dequantizing_uses_the_scale_of_each_tile) {
  // Two tiles of 64 side by side, two below: scales 1, 2, 4, 8 and codes of one.
  const QuantSpec spec{&format_named("int8-block"), 64, false, false};
  const std::vector<std::byte> codes(std::size_t{128} * 128, std::byte{1});
  const std::vector<float> scales = {1.0F, 2.0F, 4.0F, 8.0F};
  std::vector<float> values(codes.size());
  backend_->dequantize(spec, {codes.data(), Dtype::I8, 128, 128}, scales.data(), values.data());
  EXPECT_EQ(values[0], 1.0F);
  EXPECT_EQ(values[63 * 128 + 64], 2.0F);
  EXPECT_EQ(values[64 * 128 + 63], 4.0F);
  EXPECT_EQ(values[127 * 128 + 127], 8.0F);
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0.0F), 15.0F * 64 * 64);
}

TEST_P(CpuBackends, Unreadable_type_is_an_internal_error) {
  EXPECT_THAT([&] { (void)backend_->max_magnitude({nullptr, Dtype::I8, 1, 1}); }, test::fails_with(ErrorKind::internal, "I8"));
}

TEST(UsableKernels, Baseline_is_the_last_and_always_there) {
  ASSERT_FALSE(usable_kernels().empty());
  EXPECT_EQ(usable_kernels().back(), &kBaselineKernels);
}

TEST(UsableKernels, Default_backend_takes_the_fastest) {
  EXPECT_EQ(make_backend()->name(), make_backend(*usable_kernels().front())->name());
}

}  // namespace
}  // namespace halftone::cpu
