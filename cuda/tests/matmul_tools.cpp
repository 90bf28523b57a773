#include "matmul_tools.hpp"

#include <halftone/codec/half.hpp>
#include <halftone/codec/minifloat.hpp>

#include <string>

#include "matmul/requirements.hpp"
#include "runtime/stream.hpp"

namespace halftone::test {
namespace {

void expect_bf16(std::uint16_t found, float expected, std::uint64_t row, std::uint64_t column) {
  const std::uint16_t code = codec::Bf16::encode(expected);
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(codec::Bf16::decode(found))) << "row " << row << ", column " << column;
  } else {
    EXPECT_EQ(found, code) << "row " << row << ", column " << column << ": expected " << expected << ", found "
                           << codec::Bf16::decode(found);
  }
}

template <class Codec>
constexpr Fp8Type kTypeOf{[](std::uint8_t code) { return Codec::decode(code); },
                          [](float value) { return static_cast<std::uint8_t>(Codec::encode_saturating(value)); }};

}  // namespace

const Fp8Type kE4M3 = kTypeOf<codec::E4M3>;
const Fp8Type kE5M2 = kTypeOf<codec::E5M2>;

void Matmul::SetUp() {
  GpuTest::SetUp();
  if (IsSkipped() || HasFailure()) return;
  if (!has_hopper_products()) GTEST_SKIP() << "the GPU or the build has no products of compute capability 9.0a";
}

Elements<std::uint8_t> random_codes(std::uint64_t count, Random& random) {
  return elements<std::uint8_t>(count, [&] { return static_cast<std::uint8_t>(random()); });
}

Elements<float> random_floats(std::uint64_t count, int exponents, Random& random) {
  std::uniform_real_distribution<float> exponent(static_cast<float>(-exponents), static_cast<float>(exponents));
  return elements<float>(count, [&] { return std::exp2(exponent(random)) * (random() % 2 == 0 ? 1.0F : -1.0F); });
}

Elements<std::uint8_t> short_codes(std::uint64_t count, const Fp8Type& type, Random& random) {
  return elements<std::uint8_t>(count, [&] { return type.encode(static_cast<float>(static_cast<int>(random() % 9) - 4) * 0.5F); });
}

Elements<std::uint8_t> bell_codes(std::uint64_t count, const Fp8Type& type, Random& random) {
  std::normal_distribution<float> normal(0.0F, 32.0F);
  return elements<std::uint8_t>(count, [&] { return type.encode(normal(random)); });
}

std::vector<float> decoded(const Elements<std::uint8_t>& codes, std::uint64_t count, const Fp8Type& type) {
  std::vector<float> values(count);
  for (std::uint64_t i = 0; i < count; ++i) values[i] = type.decode(codes[i]);
  return values;
}

void check_product(const MatmulShape& shape, const std::function<void(std::uint16_t*, cudaStream_t)>& launch,
                   const std::function<void(std::uint64_t, std::uint64_t, std::uint16_t)>& check) {
  SCOPED_TRACE(std::to_string(shape.m) + " x " + std::to_string(shape.n) + " x " + std::to_string(shape.k));
  constexpr std::uint64_t kAround = 8;  // elements on both sides that must stay as they are
  Elements<std::uint16_t> y(std::vector<std::uint16_t>(shape.m * shape.n + 2 * kAround, 0xABCD));
  const Stream stream;
  launch(y.device() + kAround, stream.get());
  HALFTONE_TEST_CUDA(cudaStreamSynchronize(stream.get()));
  y.fetch();
  constexpr std::uint64_t kAll = 100'000;  // elements; of a larger y some, in every row and column
  const std::uint64_t step = shape.m * shape.n <= kAll ? 1 : 19;
  for (std::uint64_t i = 0; i < shape.m * shape.n; i += step) {
    check(i / shape.n, i % shape.n, y[kAround + i]);
    if (::testing::Test::HasFailure()) return;  // one place is enough
  }
  for (std::uint64_t i = 0; i < kAround; ++i) {
    EXPECT_EQ(y[i], 0xABCD);
    EXPECT_EQ(y[kAround + shape.m * shape.n + i], 0xABCD);
  }
}

void expect_product(const MatmulShape& shape, const std::function<void(std::uint16_t*, cudaStream_t)>& launch,
                    const std::function<float(std::uint64_t, std::uint64_t)>& expected) {
  check_product(shape, launch, [&](std::uint64_t row, std::uint64_t column, std::uint16_t found) {
    expect_bf16(found, expected(row, column), row, column);
  });
}

std::int64_t integer_sum(const Elements<std::uint8_t>& x, std::uint64_t from_x, const Elements<std::uint8_t>& w, std::uint64_t from_w,
                         std::uint64_t count) {
  std::int64_t sum = 0;
  for (std::uint64_t i = 0; i < count; ++i) sum += static_cast<std::int8_t>(x[from_x + i]) * static_cast<std::int8_t>(w[from_w + i]);
  return sum;
}

}  // namespace halftone::test
