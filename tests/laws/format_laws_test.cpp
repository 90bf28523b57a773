// Laws that every format obeys on every backend and from every source type.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "laws/law_case.hpp"
#include "support/scalar_format.hpp"

namespace halftone::test {
namespace {

class FormatLaw : public ::testing::TestWithParam<LawCase> {
 protected:
  [[nodiscard]] const Backend& backend() const { return *GetParam().backend.backend; }
  [[nodiscard]] QuantSpec spec() const { return default_spec(*GetParam().format); }
  /// Rows and columns that the format takes, near the wanted ones.
  [[nodiscard]] std::uint64_t rows_near(std::uint64_t wanted) const { return fit_rows(spec(), wanted); }
  [[nodiscard]] std::uint64_t columns_near(std::uint64_t wanted) const { return fit_columns(spec(), wanted); }
  [[nodiscard]] Weight weight(std::uint64_t rows, std::uint64_t columns, std::uint32_t seed) const {
    return make_weight(rows, columns, GetParam().source, sample_values(rows * columns, seed));
  }
  [[nodiscard]] bool rotates() const { return spec().rotation_group != 0; }
};

TEST_P(FormatLaw, Bands_of_any_height_give_the_same_bytes) {
  const Weight w = weight(rows_near(200), columns_near(130), 1);
  const std::uint64_t step = rows_near(1);
  const Quantized whole = quantize(backend(), spec(), w, w.rows);
  for (const std::uint64_t bands : {std::uint64_t{1}, std::uint64_t{3}}) {
    EXPECT_EQ(whole, quantize(backend(), spec(), w, step * bands));
  }
}

TEST_P(FormatLaw, Every_backend_gives_the_bytes_of_the_baseline) {
  const Weight w = weight(rows_near(33), columns_near(515), 2);
  const auto baseline = cpu::make_backend(*cpu::usable_kernels().back());
  const Quantized expected = quantize(*baseline, spec(), w, w.rows);
  const Quantized found = quantize(backend(), spec(), w, w.rows);
  EXPECT_EQ(found, expected);
  const auto a = dequantize(*baseline, spec(), w, expected);
  const auto b = dequantize(backend(), spec(), w, found);
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(codec::bits(a[i]), codec::bits(b[i])) << "element " << i;
}

TEST_P(FormatLaw, A_band_that_the_device_kept_gives_the_same_codes) {
  if (!formats::LayerLayout(spec(), 1, 1).measures_first()) return;
  // The second is more than a device takes at once, and its pieces begin at odd places of the first.
  for (const auto& [rows, columns] : {std::pair{70U, 333U}, std::pair{1500U, 1601U}}) {
    const Weight w = weight(rows_near(rows), columns_near(columns), 9);
    const Quantized expected = quantize(backend(), spec(), w, w.rows);
    std::unique_ptr<KeptBand> kept;
    EXPECT_EQ(backend().max_magnitude_and_keep(w.view(), kept), codec::bits(expected.amax));
    MatrixView band = w.view();
    band.kept = kept.get();
    if (kept) band.data = nullptr;
    Quantized found = expected;
    std::fill(found.codes.begin(), found.codes.end(), std::byte{0xEE});
    backend().quantize(spec(), band, expected.amax, {found.codes.data(), found.scales.data()});
    EXPECT_EQ(found, expected) << rows << " rows";
  }
}

TEST_P(FormatLaw, Wide_narrow_and_odd_shapes_give_the_bytes_of_the_baseline) {
  const auto baseline = cpu::make_backend(*cpu::usable_kernels().back());
  // Around what a warp, a block of threads and, at last, its shared memory hold.
  for (const std::uint64_t columns : {1U, 15U, 16U, 17U, 255U, 256U, 2047U, 2048U, 2056U, 8200U, 16384U, 40'000U, 70'001U, 130'000U}) {
    if (rows_near(3) * columns_near(columns) > 1 << 20) continue;  // blocks are high: the widest weights of theirs would be huge
    const Weight w = weight(rows_near(3), columns_near(columns), 10);
    EXPECT_EQ(quantize(backend(), spec(), w, w.rows), quantize(*baseline, spec(), w, w.rows)) << columns << " columns";
  }
}

/// `of` the facts of a format, or `none` where it leaves no choice.
std::vector<std::uint32_t> choices(const std::vector<std::uint32_t>& of, std::uint32_t none) { return of.empty() ? std::vector{none} : of; }

TEST_P(FormatLaw, Every_size_of_block_group_and_rotation_gives_the_bytes_of_the_baseline) {
  const auto baseline = cpu::make_backend(*cpu::usable_kernels().back());
  const FormatFacts& facts = spec().format->facts();
  QuantSpec sized = spec();
  for (const std::uint32_t block : choices(facts.block_sizes, sized.block_size)) {
    for (const std::uint32_t group : choices(facts.group_sizes, sized.group_size)) {
      for (const std::uint32_t rotation : choices(facts.rotation_groups, sized.rotation_group)) {
        sized.block_size = block;
        sized.group_size = group;
        sized.rotation_group = rotation;
        const Weight w = weight(fit_rows(sized, 5), fit_columns(sized, 300), 12);
        const Quantized expected = quantize(*baseline, sized, w, w.rows);
        EXPECT_EQ(quantize(backend(), sized, w, w.rows), expected) << block << ", " << group << ", " << rotation;
        const auto a = dequantize(*baseline, sized, w, expected);
        const auto b = dequantize(backend(), sized, w, expected);
        for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(codec::bits(a[i]), codec::bits(b[i])) << "element " << i;
      }
    }
  }
}

// The chains round the scale up to three times; eight units in the last place bound what that
// moves a value near the midpoint of two codes.
TEST_P(FormatLaw, The_chosen_code_is_the_nearest) {
  const Weight w = weight(rows_near(64), columns_near(64), 3);
  const Quantized q = quantize(backend(), spec(), w, w.rows);
  // In the space of the codes: what is rounded is the rotated weight.
  const auto wanted = scalar_values(spec(), w.view());
  const auto values = scalar_decode(spec(), w.rows, w.columns, q.codes, q.scales, q.tensor_scale);
  const ScalarPlaces places(spec(), w.rows, w.columns);
  const ScalarScales scales(spec(), w.rows, w.columns, q.scales, q.tensor_scale);
  const int codes = 1 << spec().format->storage().code_bits;
  for (std::size_t i = 0; i < values.size(); ++i) {
    float best = INFINITY;
    for (int code = 0; code < codes; ++code) {
      const float candidate = scalar_format(*spec().format).decode(static_cast<std::uint8_t>(code), scales.operands[places.group(i)]) *
                              scales.of_rows[i / w.columns];
      if (std::isfinite(candidate)) best = std::min(best, std::fabs(candidate - wanted[i]));
    }
    const float slack = std::fabs(wanted[i]) * 0x1p-20F;
    ASSERT_LE(std::fabs(values[i] - wanted[i]), best + slack) << "element " << i << ", value " << wanted[i];
  }
}

TEST_P(FormatLaw, Quantizing_the_result_again_changes_no_value_by_more_than_rounding) {
  if (spec().format->storage().row_scales) return;  // scales that are fitted to rounded values are others
  const Weight w = make_weight(rows_near(48), columns_near(96), Dtype::F32, sample_values(rows_near(48) * columns_near(96), 4));
  const auto once = dequantize(backend(), spec(), w, quantize(backend(), spec(), w, w.rows));
  const Weight again = make_weight(w.rows, w.columns, Dtype::F32, once);
  const auto twice = dequantize(backend(), spec(), again, quantize(backend(), spec(), again, again.rows));
  // Rotating there and back moves a value by the rounding of its whole group.
  const float group = rotates() ? *std::max_element(once.begin(), once.end()) : 0.0F;
  for (std::size_t i = 0; i < once.size(); ++i) {
    ASSERT_NEAR(once[i], twice[i], std::max(std::fabs(once[i]), group) * 0x1p-20F) << "element " << i;
  }
}

TEST_P(FormatLaw, Zero_rows_and_blocks_dequantize_to_zero_with_finite_scales) {
  Weight w = weight(rows_near(40), columns_near(72), 5);
  std::vector<float> values = w.values;
  const std::uint64_t zero_rows = rows_near(2);
  std::fill_n(values.begin(), zero_rows * w.columns, 0.0F);
  w = make_weight(w.rows, w.columns, GetParam().source, values);
  const Quantized q = quantize(backend(), spec(), w, w.rows);
  for (const float operand : ScalarScales(spec(), w.rows, w.columns, q.scales, q.tensor_scale).operands) {
    EXPECT_TRUE(std::isfinite(operand));
    EXPECT_GE(operand, 0.0F);
  }
  const auto back = dequantize(backend(), spec(), w, q);
  for (std::size_t i = 0; i < zero_rows * w.columns; ++i) ASSERT_EQ(back[i], 0.0F) << "element " << i;
}

TEST_P(FormatLaw, Tiny_and_large_magnitudes_stay_finite) {
  for (const float magnitude : {0x1p-24F, 1e-6F, 30.0F, 400.0F}) {
    std::vector<float> values = sample_values(rows_near(32) * columns_near(32), 6);
    for (float& value : values) value = std::clamp(value * 50.0F * magnitude, -magnitude, magnitude);
    const Weight w = make_weight(rows_near(32), columns_near(32), GetParam().source, values);
    const Quantized q = quantize(backend(), spec(), w, w.rows);
    for (const float operand : ScalarScales(spec(), w.rows, w.columns, q.scales, q.tensor_scale).operands)
      ASSERT_TRUE(std::isfinite(operand)) << magnitude;
    // A rotated group spreads the error of one code over all of its values.
    const float most = q.amax * (rotates() ? 4.0F : 1.001F) + 0x1p-9F;
    for (const float value : dequantize(backend(), spec(), w, q)) ASSERT_LE(std::fabs(value), most);
  }
}

TEST_P(FormatLaw, The_largest_magnitude_shows_NaN_and_infinity) {
  for (const float bad : {static_cast<float>(NAN), static_cast<float>(-NAN), static_cast<float>(INFINITY), static_cast<float>(-INFINITY)}) {
    std::vector<float> values = sample_values(rows_near(3) * columns_near(70), 7);
    values[values.size() / 2] = bad;
    const Weight w = make_weight(rows_near(3), columns_near(70), GetParam().source, values);
    EXPECT_GE(backend().max_magnitude(w.view()), codec::kInfinityBits);
  }
}

TEST_P(FormatLaw, Every_length_and_alignment_gives_the_same_codes) {
  for (const std::uint64_t wanted : {1U, 2U, 7U, 31U, 33U, 64U, 511U, 513U, 1030U}) {
    const std::uint64_t columns = columns_near(wanted);
    const Weight w = weight(rows_near(2), columns, 8);
    const Quantized expected = quantize(backend(), spec(), w, rows_near(1));
    Weight shifted = w;
    shifted.bytes.insert(shifted.bytes.begin(), std::byte{0});
    Quantized found = expected;
    std::fill(found.codes.begin(), found.codes.end(), std::byte{0xEE});
    backend().quantize(spec(), {shifted.bytes.data() + 1, w.dtype, w.rows, columns}, expected.amax,
                       {found.codes.data(), found.scales.data()});
    EXPECT_EQ(found, expected) << columns << " columns";
  }
}

/// The sum of the squared errors in the space of the codes, where a rotation changes no length.
double squared_error(const QuantSpec& spec, const Weight& weight, const Quantized& quantized) {
  const auto wanted = scalar_values(spec, weight.view());
  const auto values = scalar_decode(spec, weight.rows, weight.columns, quantized.codes, quantized.scales, quantized.tensor_scale);
  double sum = 0;
  for (std::size_t i = 0; i < values.size(); ++i)
    sum += (static_cast<double>(values[i]) - wanted[i]) * (static_cast<double>(values[i]) - wanted[i]);
  return sum;
}

TEST_P(FormatLaw, Searched_scales_are_never_worse_and_the_same_in_bands_and_on_every_backend) {
  QuantSpec search = spec();
  search.scales = ScaleMethod::search;
  if (!can_search_scales(*spec().format) || !backend().supports(search, GetParam().source)) return;
  const auto baseline = cpu::make_backend(*cpu::usable_kernels().back());
  // The widest rows are more than a block of a GPU's threads adds at once; 208 and 17008 are whole runs.
  for (const std::uint64_t columns : {1U, 200U, 208U, 515U, 17'000U, 17'008U}) {
    const std::uint64_t rows = rows_near(columns > 1000 ? 3 : 21);
    if (rows * columns_near(columns) > 1 << 20) continue;
    const Weight w = weight(rows, columns_near(columns), 11);
    const Quantized plain = quantize(backend(), spec(), w, w.rows);
    const Quantized best = quantize(backend(), search, w, w.rows);
    EXPECT_EQ(best, quantize(backend(), search, w, rows_near(1)));
    EXPECT_EQ(best, quantize(*baseline, search, w, w.rows));
    // The search sums in binary32.
    EXPECT_LE(squared_error(search, w, best), squared_error(spec(), w, plain) * (1 + 1e-5)) << columns << " columns";
  }
}

INSTANTIATE_TEST_SUITE_P(All, FormatLaw, ::testing::ValuesIn(all_cases()),
                         [](const auto& law) { return ::testing::PrintToString(law.param); });

}  // namespace
}  // namespace halftone::test
