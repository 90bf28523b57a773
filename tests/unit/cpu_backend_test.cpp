#include "cpu/cpu_backend.hpp"

#include <cstring>
#include <numeric>
#include <span>

#include <gmock/gmock.h>

#include <halftone/codec/half.hpp>

#include "support/format_spec.hpp"
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
  /// Quantizes binary32 values with `format`; formats with a scale for the whole weight report it last.
  [[nodiscard]] Quantized quantize(const char* format, std::uint64_t columns, const std::vector<float>& values,
                                   std::uint32_t block_size = 0) const {
    const QuantSpec spec{&format_named(format), block_size, false, false};
    const MatrixView band{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, values.size() / columns, columns};
    test::BandBuffers out(spec, band.rows, band.columns);
    const float amax = codec::from_bits(backend_->max_magnitude(band));
    EXPECT_EQ(backend_->quantize(spec, band, amax, {out.codes.data(), out.scales.data()}), bits(amax));
    Quantized result;
    for (const std::byte code : out.codes) result.codes.push_back(static_cast<int>(code));
    const std::uint32_t width = spec.format->storage().scale_bytes;
    for (std::size_t at = 0; at < out.scales.size(); at += width) {
      result.scales.push_back(0);
      std::memcpy(&result.scales.back(), out.scales.data() + at, width);
    }
    if (out.layout.measures_first()) result.scales.push_back(bits(tensor_scale(*spec.format, amax)));
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

// An interrupted run that learned goes on with other kernels, too.
TEST_P(CpuBackends, Kind_and_product_are_the_same_for_every_instruction_set) {
  EXPECT_EQ(backend_->kind(), DeviceKind::cpu);
  EXPECT_EQ(backend_->product(), "cpu");
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

TEST_P(CpuBackends, Nvfp4_example_of_5_10) {
  const std::vector<float> values = {0.02F,   -0.5F, 0.31F,   0.0F,    -0.0F,    0.125F,  0.875F,  -1.75F,   3.0F,    0.07F,  -2.2F,
                                     1.1F,    0.66F, -0.04F,  0.9F,    0.15F,    0.001F,  -0.002F, 0.003F,   0.0015F, 0.004F, -0.004F,
                                     0.0005F, 0.0F,  0.0025F, 0.0035F, -0.0011F, 0.0007F, 0.0001F, -0.0023F, 0.0031F, 0.0019F};
  const Quantized out = quantize("nvfp4", 32, values);
  EXPECT_THAT(out.codes, ElementsAre(0x0A, 0x10, 0x80, 0x4E, 0x70, 0xE4, 0x38, 0x41, 0x3D, 0x64, 0x7F, 0x10, 0x67, 0xB2, 0x0D, 0x65));
  EXPECT_THAT(out.scales, ElementsAre(0x7E, 0x32, 0x3A924925));
}

TEST_P(CpuBackends, Nvfp4_of_zeros_has_finite_scales) {
  const Quantized out = quantize("nvfp4", 16, std::vector<float>(16, -0.0F));
  EXPECT_THAT(out.codes, testing::Each(0));
  EXPECT_THAT(out.scales, ElementsAre(0x00, bits(1.0F)));
}

TEST_P(CpuBackends, Nvfp4_fills_rows_up_to_16_columns_with_zeros) {
  const Quantized out = quantize("nvfp4", 18, std::vector<float>(18, 6.0F));
  ASSERT_EQ(out.codes.size(), 16U);
  EXPECT_EQ(out.codes[8], 0x77);
  for (std::size_t i = 9; i < 16; ++i) EXPECT_EQ(out.codes[i], 0);
}

TEST_P(CpuBackends, Mxfp8_examples_of_5_11) {
  const auto group = [&](std::vector<float> values) {
    values.resize(32, 0.0F);
    return quantize("mxfp8", 32, values);
  };
  const Quantized first = group({0.02F, -0.5F, 0.31F, 1.75F, -0.0F, 1e-4F});
  EXPECT_EQ(std::vector<int>(first.codes.begin(), first.codes.begin() + 6), (std::vector<int>{0x4A, 0xF0, 0x6A, 0x7E, 0x80, 0x0D}));
  EXPECT_THAT(first.scales, ElementsAre(119));
  EXPECT_THAT(group({448.0F, 1.0F}).scales, ElementsAre(127));
  EXPECT_THAT(group({449.0F, 1.0F}).scales, ElementsAre(128));
  EXPECT_THAT(group({449.0F, 1.0F}).codes, testing::Contains(0x76));
  EXPECT_THAT(group({0.013671875F, 0.001F}).scales, ElementsAre(112));
}

TEST_P(CpuBackends, Mxfp8_group_too_small_for_a_scale_is_zero) {
  std::vector<float> values(32, -1e-37F);
  const Quantized out = quantize("mxfp8", 32, values);
  EXPECT_THAT(out.codes, testing::Each(0));
  EXPECT_THAT(out.scales, ElementsAre(0));
}

TEST_P(CpuBackends, Codebook_examples_of_5_15_and_5_16) {
  std::vector<float> values(64, 0.0F);
  const std::vector<float> first = {0.5F, -0.25F, 0.1F, 0.0F, -0.5F, 0.03F, 0.33F, -0.02F};
  std::copy(first.begin(), first.end(), values.begin());
  const auto codes = [&](const char* format) {
    const Quantized out = quantize(format, 64, values, 64);
    return std::vector<int>(out.codes.begin(), out.codes.begin() + 4);
  };
  EXPECT_THAT(codes("nf4"), ElementsAre(0x2F, 0x79, 0x80, 0x7E));
  EXPECT_THAT(codes("nf4-bnb"), ElementsAre(0xF2, 0x97, 0x08, 0xE7));
  EXPECT_THAT(codes("fp4"), ElementsAre(0xD7, 0x02, 0x1F, 0x96));
  EXPECT_THAT(codes("fp4-bnb"), ElementsAre(0x3D, 0x60, 0xB1, 0x29));
}

TEST_P(CpuBackends, Codebook_block_of_zeros) {
  const std::vector<float> zeros(64, 0.0F);
  EXPECT_THAT(quantize("nf4", 64, zeros, 64).codes, testing::Each(0x77));
  EXPECT_THAT(quantize("nf4", 64, zeros, 64).scales, ElementsAre(0x2B8CBCCC));
  EXPECT_THAT(quantize("nf4-bnb", 64, zeros, 64).scales, ElementsAre(0));
  EXPECT_THAT(quantize("fp4-bnb", 64, zeros, 64).codes, testing::Each(0));
}

TEST_P(CpuBackends, W4a4_codes_of_5_13) {
  // A rotation of the rotated row gives the row whose codes the example lists.
  std::vector<float> row(16, 0.0F);
  const std::vector<float> rotated = {0.7F, -0.35F, 0.1F, -0.69F, 0.05F, 0.2F, -0.7F, 0.6F};
  std::copy(rotated.begin(), rotated.end(), row.begin());
  const QuantSpec plain{.format = &format_named("w4a4-convrot")};
  test::BandBuffers out(plain, 1, 16);
  backend_->quantize(plain, {reinterpret_cast<const std::byte*>(row.data()), Dtype::F32, 1, 16}, 0.0F,
                     {out.codes.data(), out.scales.data()});
  std::vector<int> codes;
  for (const std::byte code : out.codes) codes.push_back(static_cast<int>(code));
  codes.resize(4);
  EXPECT_THAT(codes, ElementsAre(0xC7, 0x91, 0x20, 0x69));
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
  backend_->dequantize(spec, {codes.data(), Dtype::I8, 128, 128}, std::as_bytes(std::span(scales)).data(), 1.0F, values.data());
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
