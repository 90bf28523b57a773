// The kernels of every instruction set that runs here, against the scalar functions.
#include <cmath>
#include <limits>
#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "cpu/cpu_backend.hpp"
#include "formats/scale_rules.hpp"
#include "support/scalar_format.hpp"
#include "unit/printers.hpp"

namespace halftone::cpu {
namespace {

using codec::bits;

constexpr Dtype kSources[] = {Dtype::F64, Dtype::F32, Dtype::BF16, Dtype::F16};
constexpr Dtype kHalves[] = {Dtype::BF16, Dtype::F16};
constexpr std::byte kGuard{0x5A};

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

/// All 65,536 patterns of a 16-bit type.
std::string all_patterns() {
  std::string bytes;
  for (std::uint32_t code = 0; code <= 0xFFFF; ++code) append(bytes, static_cast<std::uint16_t>(code));
  return bytes;
}

/// Those whose magnitude is at most `limit`.
std::string patterns_within(Dtype dtype, float limit) {
  const std::string all = all_patterns();
  std::string bytes;
  for (std::size_t i = 0; i <= 0xFFFF; ++i) {
    const float value = test::scalar_load(dtype, reinterpret_cast<const std::byte*>(all.data()), i);
    if (std::fabs(value) <= limit) bytes += all.substr(2 * i, 2);
  }
  return bytes;
}

/// `n` values of a type, most of them ordinary, some of any finite exponent, the same on every run.
std::string random_values(Dtype dtype, std::size_t n) {
  std::mt19937_64 random(20260722);
  std::normal_distribution<double> normal(0.0, 1.0);
  std::uniform_real_distribution<double> exponent(-150.0, 127.0);
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i) {
    const double value = i % 3 == 0 ? std::copysign(std::exp2(exponent(random)), normal(random)) : normal(random);
    if (dtype == Dtype::F64) append(bytes, value);
    if (dtype == Dtype::F32) append(bytes, static_cast<float>(value));
    if (dtype == Dtype::BF16) append(bytes, codec::Bf16::encode(static_cast<float>(value)));
    if (dtype == Dtype::F16) append(bytes, codec::F16::encode(static_cast<float>(std::clamp(value, -65504.0, 65504.0))));
  }
  return bytes;
}

/// Bytes placed at an odd address.
class Unaligned {
 public:
  explicit Unaligned(std::string_view bytes) : storage_(1, '\0') { storage_ += bytes; }
  [[nodiscard]] const std::byte* data() const { return reinterpret_cast<const std::byte*>(storage_.data()) + 1; }

 private:
  std::string storage_;
};

/// Where codes or scales first differ, in words, or "".
std::string difference(const Backend& backend, const QuantSpec& spec, const MatrixView& band, float amax) {
  const test::BandBuffers want = test::scalar_quantize(spec, band, amax);
  test::BandBuffers found(spec, band.rows, band.columns, kGuard);
  found.codes.push_back(kGuard);
  found.scales.push_back(kGuard);
  backend.quantize(spec, band, amax, {found.codes.data(), found.scales.data()});
  for (std::size_t i = 0; i < want.scales.size(); ++i) {
    if (found.scales[i] == want.scales[i]) continue;
    return fmt::format("byte {} of the scales: 0x{:02X}, 0x{:02X} expected", i, std::to_integer<int>(found.scales[i]),
                       std::to_integer<int>(want.scales[i]));
  }
  for (std::size_t i = 0; i < want.codes.size(); ++i) {
    if (found.codes[i] == want.codes[i]) continue;
    return fmt::format("byte {} of the codes, row {}: 0x{:02X}, 0x{:02X} expected", i, i / want.layout.code_bytes(1),
                       std::to_integer<int>(found.codes[i]), std::to_integer<int>(want.codes[i]));
  }
  return found.codes.back() == kGuard && found.scales.back() == kGuard ? "" : "wrote beyond the end";
}

/// A band of `n` elements: one row, but for formats of flat blocks, which have rows of a block.
MatrixView band_of(const QuantSpec& spec, const std::byte* data, Dtype dtype, std::uint64_t n) {
  const std::uint64_t columns = spec.format->storage().flat ? spec.block_size : n / test::fit_columns(spec, 1) * test::fit_columns(spec, 1);
  return {data, dtype, columns == 0 ? 0 : n / columns, columns};
}

class Kernels : public testing::TestWithParam<const KernelTable*> {
 protected:
  const std::unique_ptr<Backend> backend_ = make_backend(*GetParam());
};

/// The same for one format.
class FormatKernels : public testing::TestWithParam<std::tuple<const KernelTable*, const FormatDescriptor*>> {
 protected:
  const std::unique_ptr<Backend> backend_ = make_backend(*std::get<0>(GetParam()));
  const QuantSpec spec_ = test::default_spec(*std::get<1>(GetParam()));
};

std::string format_case_name(const testing::TestParamInfo<FormatKernels::ParamType>& tested) {
  std::string name = fmt::format("{}_{}", std::get<0>(tested.param)->instruction_set, std::get<1>(tested.param)->name());
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Kernels, testing::ValuesIn(usable_kernels()),
                         [](const auto& tested) { return std::string(tested.param->instruction_set); });
INSTANTIATE_TEST_SUITE_P(All, FormatKernels, testing::Combine(testing::ValuesIn(usable_kernels()), testing::ValuesIn(all_formats())),
                         format_case_name);

TEST_P(FormatKernels, Every_half_pattern_gives_the_scalar_code_at_several_scales) {
  // The limits are the largest magnitudes and so set the scales: all finite values, a naive tie
  // (1.5 with E4M3), an ordinary weight, subnormals of F16.
  for (const float limit : {std::numeric_limits<float>::max(), 448.0F, 1.5F, 0.0371F, 0x1p-15F}) {
    for (const Dtype dtype : kHalves) {
      const std::string bytes = patterns_within(dtype, limit);
      const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
      const MatrixView row = band_of(spec_, data, dtype, bytes.size() / 2);
      const float amax = codec::from_bits(test::scalar_max(row));
      EXPECT_EQ(difference(*backend_, spec_, row, amax), "") << name_of(dtype) << " up to " << limit;
    }
  }
}

TEST_P(FormatKernels, Groups_of_every_scale_give_the_codes_of_the_baseline) {
  // Vectors of codes are made from the upper halves of products and from whether the lower ones are zero:
  // maxima with every upper half and several lower ones, each for a group of its own.
  constexpr std::size_t group = 64;
  if (spec_.format->storage().run != 0) return;  // its groups have another size
  const KernelTable& kernels = *std::get<0>(GetParam());
  const std::size_t format = spec_.format->index();
  std::mt19937 random(20260722);
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<std::uint16_t> weights;
  std::vector<float> operands;
  for (std::uint32_t upper = 0; upper < 0x7F80; ++upper) {
    for (const std::uint32_t lower : {0x0000U, 0x0001U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      const float amax = codec::from_bits(upper << 16 | lower);
      operands.push_back(formats::scale_rules(*spec_.format).group(amax, 1.0F).encode);
      for (std::size_t i = 0; i < group; ++i) {
        const float part = i % 4 == 0 ? std::ldexp(uniform(random), -static_cast<int>(i) / 4) : uniform(random);
        weights.push_back(codec::Bf16::encode(i == 0 ? amax : amax * part));
      }
    }
  }
  const auto* source = reinterpret_cast<const std::byte*>(weights.data());
  std::vector<std::byte> found(weights.size());
  std::vector<std::byte> expected(weights.size());
  kernels.encode[format][formats::kBf16](source, weights.size(), group, operands.data(), found.data(), 0);
  kBaselineKernels.encode[format][formats::kBf16](source, weights.size(), group, operands.data(), expected.data(), 0);
  const auto at = std::mismatch(found.begin(), found.end(), expected.begin()).first - found.begin();
  EXPECT_EQ(found, expected) << "from byte " << at;
}

TEST(DividedCodes, Quotients_near_the_midpoint_of_two_codes_are_those_of_the_baseline) {
  // Every mantissa of a weight over every divisor that brings it within three steps of a midpoint.
  constexpr std::size_t group = 32;  // what a vector takes
  const std::size_t format = find_format("int8-block")->index();
  std::vector<std::uint16_t> weights;
  std::vector<float> divisors;
  for (std::uint16_t mantissa = 0x3F80; mantissa < 0x4000; ++mantissa) {
    for (int code = 0; code < 127; ++code) {
      const std::uint32_t nearest = bits(codec::Bf16::decode(mantissa) / (static_cast<float>(code) + 0.5F));
      for (std::uint32_t divisor = nearest - 3; divisor <= nearest + 3; ++divisor) {
        divisors.push_back(codec::from_bits(divisor));
        weights.insert(weights.end(), group, mantissa);
      }
    }
  }
  const auto* source = reinterpret_cast<const std::byte*>(weights.data());
  std::vector<std::byte> expected(weights.size());
  kBaselineKernels.encode[format][formats::kBf16](source, weights.size(), group, divisors.data(), expected.data(), 0);
  for (const KernelTable* kernels : usable_kernels()) {
    std::vector<std::byte> found(weights.size());
    kernels->encode[format][formats::kBf16](source, weights.size(), group, divisors.data(), found.data(), 0);
    EXPECT_EQ(found, expected) << kernels->instruction_set;
  }
}

TEST_P(FormatKernels, Wide_samples_give_the_scalar_codes) {
  // 130 columns leave a group of 2 behind blocks of 64 and 128.
  constexpr std::uint64_t rows = 300;
  const std::uint64_t columns =
      test::fit_columns(spec_, spec_.format->grid() == ScaleGrid::block ? 128 : 130) + (spec_.format->grid() == ScaleGrid::block ? 2 : 0);
  for (const Dtype dtype : kSources) {
    const std::string bytes = random_values(dtype, rows * columns);
    const MatrixView band{reinterpret_cast<const std::byte*>(bytes.data()), dtype, rows, columns};
    EXPECT_EQ(difference(*backend_, spec_, band, 3.25F), "") << name_of(dtype);
  }
}

TEST_P(FormatKernels, Every_short_length_at_an_odd_address_gives_the_scalar_codes) {
  for (const Dtype dtype : kSources) {
    const std::string all = random_values(dtype, 1100);
    // 0 to 100 cover every vector tail; the rest stand around the 512 elements of a packing buffer.
    for (std::uint64_t n = 0; n <= 1030; n += n < 100 || (n > 509 && n < 515) || n > 1020 ? 1 : n < 500 ? 409 : 505) {
      const Unaligned source(std::string_view(all).substr(0, n * bits_of(dtype) / 8));
      EXPECT_EQ(difference(*backend_, spec_, band_of(spec_, source.data(), dtype, n), 3.25F), "")
          << name_of(dtype) << ", " << n << " elements";
    }
  }
}

TEST_P(FormatKernels, Every_byte_of_codes_decodes_to_the_scalar_values) {
  const std::uint64_t columns = test::fit_columns(spec_, 512);
  const std::uint64_t rows = base::ceil_div(1024, columns);
  test::BandBuffers stored(spec_, rows, columns);
  for (std::size_t i = 0; i < stored.codes.size(); ++i) stored.codes[i] = static_cast<std::byte>(i);
  for (std::size_t i = 0; i < stored.scales.size(); ++i) stored.scales[i] = static_cast<std::byte>(0x2A + i % 0x20);
  QuantSpec flat = spec_;
  flat.rotation_group = 0;  // the scalar values are those of the codes
  for (const float tensor_scale : {1.0F, 0.0037F, 0x1p-120F, 1e38F}) {
    std::vector<float> values(rows * columns);
    const Unaligned source({reinterpret_cast<const char*>(stored.codes.data()), stored.codes.size()});
    backend_->dequantize(flat, {source.data(), spec_.format->facts().code_dtype, rows, columns}, stored.scales.data(), tensor_scale,
                         values.data());
    const auto want = test::scalar_decode(flat, rows, columns, stored.codes, stored.scales, tensor_scale);
    for (std::size_t i = 0; i < want.size(); ++i) ASSERT_EQ(bits(values[i]), bits(want[i])) << "element " << i << " by " << tensor_scale;
  }
}

TEST_P(Kernels, Max_magnitude_of_every_half_pattern_is_its_own) {
  const std::string all = all_patterns();
  for (const Dtype dtype : kHalves) {
    for (std::size_t code = 0; code <= 0xFFFF; ++code) {
      const MatrixView one{reinterpret_cast<const std::byte*>(all.data()) + 2 * code, dtype, 1, 1};
      ASSERT_EQ(backend_->max_magnitude(one), test::scalar_max(one)) << name_of(dtype) << " " << code;
    }
  }
}

TEST_P(Kernels, Max_magnitude_of_every_length_at_an_odd_address_is_the_scalar_one) {
  for (const Dtype dtype : kSources) {
    const std::string all = random_values(dtype, 201);
    const std::size_t element = bits_of(dtype) / 8;
    for (std::size_t begin = 0; begin <= 100; ++begin) {
      for (const std::size_t n : {begin, std::size_t{100}}) {
        const Unaligned source(std::string_view(all).substr(begin * element, n * element));
        const MatrixView row{source.data(), dtype, 1, n};
        ASSERT_EQ(backend_->max_magnitude(row), test::scalar_max(row)) << name_of(dtype) << ", " << n << " elements from " << begin;
      }
    }
  }
}

TEST_P(Kernels, Max_magnitude_over_several_rows_is_that_of_each_group) {
  constexpr std::size_t rows = 5;
  constexpr std::size_t columns = 1100;  // more than go through at once
  constexpr std::size_t stride = columns + 3;
  for (const Dtype dtype : kSources) {
    const std::string all = random_values(dtype, rows * stride);
    const std::size_t element = bits_of(dtype) / 8;
    const Unaligned source(all);
    for (const std::size_t group : {std::size_t{1}, std::size_t{48}, std::size_t{64}, std::size_t{128}, std::size_t{700}}) {
      const std::size_t groups = base::ceil_div(columns, group);
      std::vector<std::uint32_t> found(groups, 0);
      std::vector<std::uint32_t> expected(groups, 0);
      for (std::size_t i = 0; i < rows * columns; ++i) {
        const std::size_t column = i % columns;
        std::uint32_t& largest = expected[column / group];
        largest = std::max(largest, test::scalar_max({source.data() + (i / columns * stride + column) * element, dtype, 1, 1}));
      }
      GetParam()->max_magnitude[formats::float_index(dtype)](source.data(), stride * element, rows, columns, group, found.data());
      EXPECT_EQ(found, expected) << name_of(dtype) << ", groups of " << group;
    }
  }
}

TEST_P(Kernels, Max_magnitude_finds_one_large_element_at_every_place) {
  for (std::size_t place = 0; place < 100; ++place) {
    std::vector<float> values(100, 0.5F);
    values[place] = -3.0F;
    EXPECT_EQ(backend_->max_magnitude({reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, 4, 25}), bits(3.0F)) << place;
  }
}

TEST_P(Kernels, Conversion_to_float_equals_the_scalar_one) {
  for (const Dtype dtype : kSources) {
    const bool half = dtype == Dtype::BF16 || dtype == Dtype::F16;
    const std::string bytes = half ? all_patterns() : random_values(dtype, 10'001);
    const std::size_t n = bytes.size() / (bits_of(dtype) / 8);
    const Unaligned source(bytes);
    std::vector<float> values(n);
    backend_->to_float(dtype, source.data(), n, values.data());
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_EQ(bits(values[i]), bits(test::scalar_load(dtype, source.data(), i))) << name_of(dtype) << " " << i;
  }
}

TEST_P(Kernels, Conversion_from_float_equals_the_codec) {
  std::vector<float> values;
  for (std::uint64_t pattern = 0; pattern <= UINT32_MAX; pattern += 65'537)
    values.push_back(codec::from_bits(static_cast<std::uint32_t>(pattern)));
  for (const Dtype dtype : kHalves) {
    std::string out(2 * values.size() + 1, static_cast<char>(kGuard));
    auto* data = reinterpret_cast<std::byte*>(out.data()) + 1;
    backend_->from_float(values.data(), values.size(), dtype, data);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint16_t want = dtype == Dtype::BF16 ? codec::Bf16::encode(values[i]) : codec::F16::encode(values[i]);
      std::uint16_t got = 0;
      std::memcpy(&got, data + 2 * i, 2);
      ASSERT_EQ(got, want) << name_of(dtype) << " of " << values[i];
    }
    EXPECT_EQ(out.front(), static_cast<char>(kGuard));
  }
}

}  // namespace
}  // namespace halftone::cpu
