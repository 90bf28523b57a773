// Matrix products of codes against the same chain of operations on the host.
#include <halftone/codec/half.hpp>
#include <halftone/codec/minifloat.hpp>
#include <halftone/error.hpp>

#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "gpu_test.cuh"
#include "matmul/block_gemm.hpp"
#include "matmul/int8_gemm.hpp"
#include "matmul/quantize_activations.hpp"
#include "matmul/support.hpp"
#include "runtime/device_buffer.hpp"
#include "runtime/stream.hpp"

namespace halftone::test {
namespace {

using namespace halftone::cuda;

/// A product needs Hopper; on another GPU these tests say so.
class Matmul : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped() || HasFailure()) return;
    if (!has_hopper_products()) GTEST_SKIP() << "the GPU or the build has no products of compute capability 9.0a";
  }
};

/// Elements on both sides.
template <class T>
class Elements {
 public:
  explicit Elements(std::vector<T> host) : host_(std::move(host)), device_(host_.size() * sizeof(T), nullptr) {
    HALFTONE_TEST_CUDA(cudaMemcpy(device_.data(), host_.data(), host_.size() * sizeof(T), cudaMemcpyHostToDevice));
    HALFTONE_TEST_CUDA(cudaStreamSynchronize(nullptr));  // a copy may still be on its way when it returns
  }
  [[nodiscard]] T* device() const { return device_.as<T>(); }
  [[nodiscard]] const T& operator[](std::uint64_t i) const { return host_[i]; }
  void fetch() { HALFTONE_TEST_CUDA(cudaMemcpy(host_.data(), device_.data(), host_.size() * sizeof(T), cudaMemcpyDeviceToHost)); }

 private:
  std::vector<T> host_;
  DeviceBuffer device_;
};

using Random = std::mt19937_64;

template <class T>
Elements<T> elements(std::uint64_t count, const std::function<T()>& make) {
  std::vector<T> values(count);
  for (T& value : values) value = make();
  return Elements<T>(std::move(values));
}

Elements<std::uint8_t> random_codes(std::uint64_t count, Random& random) {
  return elements<std::uint8_t>(count, [&] { return static_cast<std::uint8_t>(random()); });
}

/// Positive and negative, from 2^-exponents to 2^exponents.
Elements<float> random_floats(std::uint64_t count, int exponents, Random& random) {
  std::uniform_real_distribution<float> exponent(static_cast<float>(-exponents), static_cast<float>(exponents));
  return elements<float>(count, [&] { return std::exp2(exponent(random)) * (random() % 2 == 0 ? 1.0F : -1.0F); });
}

std::uint64_t runs_of(std::uint64_t k) { return (k + kScaleBlock - 1) / kScaleBlock; }

void expect_bf16(std::uint16_t found, float expected, std::uint64_t row, std::uint64_t column) {
  const std::uint16_t code = codec::Bf16::encode(expected);
  if (std::isnan(expected)) {
    EXPECT_TRUE(std::isnan(codec::Bf16::decode(found))) << "row " << row << ", column " << column;
  } else {
    EXPECT_EQ(found, code) << "row " << row << ", column " << column << ": expected " << expected << ", found "
                           << codec::Bf16::decode(found);
  }
}

/// Calls check(row, column, element) for elements of y, which `launch` is to fill.
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

/// Holds y to the BF16 of expected(row, column).
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

struct Int8Case {
  MatmulShape shape;
  int exponents = 6;
  bool x_per_row = true;
  bool w_per_row = true;
  bool biased = true;
};

void check_int8(const Int8Case& c) {
  Random random(test_seed());
  const MatmulShape& s = c.shape;
  const auto x = random_codes(s.m * s.k, random);
  const auto w = random_codes(s.n * s.k, random);
  const auto x_scales = random_floats(c.x_per_row ? s.m : 1, c.exponents, random);
  const auto w_scales = random_floats(c.w_per_row ? s.n : 1, c.exponents, random);
  const auto bias = random_floats(s.n, 8, random);
  expect_product(
      s,
      [&](std::uint16_t* y, cudaStream_t stream) {
        launch_int8_gemm({s,
                          reinterpret_cast<const std::int8_t*>(x.device()),
                          reinterpret_cast<const std::int8_t*>(w.device()),
                          {x_scales.device(), c.x_per_row},
                          {w_scales.device(), c.w_per_row},
                          c.biased ? bias.device() : nullptr,
                          y},
                         stream);
      },
      [&](std::uint64_t row, std::uint64_t column) {
        const float factor = x_scales[c.x_per_row ? row : 0] * w_scales[c.w_per_row ? column : 0];
        const float product = static_cast<float>(integer_sum(x, row * s.k, w, column * s.k, s.k)) * factor;
        return product + (c.biased ? bias[column] : 0.0F);
      });
}

// Edges of tiles on both sides, rows of y that are not aligned, rows of codes that end within a stage.
constexpr MatmulShape kShapes[] = {{1, 1, 16},     {1, 8, 144},     {3, 133, 128},   {64, 64, 512},  {129, 72, 272},
                                   {200, 300, 80}, {257, 520, 400}, {1, 4104, 1040}, {900, 17, 160}, {130, 2056, 96}};

// For which the launch functions choose each of their larger tiles on an H100, with whole tiles, edges and more tiles than
// blocks; the last again with rows of y that are not aligned.
constexpr MatmulShape kLargeShapes[] = {{20, 12304, 272}, {700, 3080, 400}, {1100, 3088, 400}, {1100, 3085, 400}};

TEST_F(Matmul, Int8_product_is_the_chain_of_the_host) {
  for (const MatmulShape& shape : kShapes) check_int8({shape});
}

TEST_F(Matmul, Int8_product_of_large_tiles_is_the_chain_of_the_host) {
  for (const MatmulShape& shape : kLargeShapes) check_int8({shape});
}

TEST_F(Matmul, Int8_scales_may_be_single_and_the_bias_absent) {
  for (const int kinds : {0, 1, 2, 3}) check_int8({{130, 136, 288}, 6, kinds % 2 == 0, kinds / 2 == 0, false});
}

TEST_F(Matmul, Int8_scales_may_be_extreme) { check_int8({{70, 90, 144}, 60}); }

TEST_F(Matmul, Int8_sums_reach_the_ends_of_INT32) {
  constexpr MatmulShape kShape{2, 3, kInt8GemmLongestRow};
  const Elements<std::uint8_t> lowest(std::vector<std::uint8_t>(kShape.n * kShape.k, 0x80));
  const Elements<float> one(std::vector<float>{1.0F});
  const auto* codes = reinterpret_cast<const std::int8_t*>(lowest.device());
  expect_product(
      kShape,
      [&](std::uint16_t* y, cudaStream_t stream) {
        launch_int8_gemm({kShape, codes, codes, {one.device(), false}, {one.device(), false}, nullptr, y}, stream);
      },
      [](std::uint64_t, std::uint64_t) { return static_cast<float>(kInt8GemmLongestRow << 14); });
}

// A product may start up while its activations are still being quantized; it must not read them too early.
TEST_F(Matmul, A_product_waits_for_the_quantizing_of_its_activations) {
  Random random(test_seed());
  constexpr MatmulShape kShape{300, 264, 1040};
  const auto w = random_codes(kShape.n * kShape.k, random);
  const auto w_scales = random_floats(kShape.n, 6, random);
  Elements<std::uint8_t> codes(std::vector<std::uint8_t>(kShape.m * kShape.k));
  Elements<float> x_scales(std::vector<float>(kShape.m));
  std::normal_distribution<float> normal;
  for (int i = 0; i < 4; ++i) {
    const auto x = elements<std::uint16_t>(kShape.m * kShape.k, [&] { return codec::Bf16::encode(normal(random)); });
    bool fetched = false;
    expect_product(
        kShape,
        [&](std::uint16_t* y, cudaStream_t stream) {
          launch_quantize_rows_int8({x.device(), kShape.m, kShape.k, codes.device(), kShape.k}, x_scales.device(), stream);
          launch_int8_gemm({kShape,
                            reinterpret_cast<const std::int8_t*>(codes.device()),
                            reinterpret_cast<const std::int8_t*>(w.device()),
                            {x_scales.device(), true},
                            {w_scales.device(), true},
                            nullptr,
                            y},
                           stream);
        },
        [&](std::uint64_t row, std::uint64_t column) {
          if (!fetched) {
            codes.fetch();
            x_scales.fetch();
            fetched = true;
          }
          const float factor = x_scales[row] * w_scales[column];
          return static_cast<float>(integer_sum(codes, row * kShape.k, w, column * kShape.k, kShape.k)) * factor + 0.0F;  // no -0
        });
  }
}

/// Operands of a product with scales of blocks.
struct BlockOperands {
  BlockOperands(const MatmulShape& s, int exponents, Random& random)
      : shape(s),
        x_scales(random_floats(s.m * runs_of(s.k), exponents, random)),
        w_scales(random_floats(runs_of(s.n) * runs_of(s.k), exponents, random)),
        bias(random_floats(s.n, 8, random)) {}

  [[nodiscard]] float factor(std::uint64_t row, std::uint64_t column, std::uint64_t run, bool rows_side_by_side) const {
    return x_scales[rows_side_by_side ? run * shape.m + row : row * runs_of(shape.k) + run] *
           w_scales[column / kScaleBlock * runs_of(shape.k) + run];
  }
  [[nodiscard]] RunScales runs(bool rows_side_by_side) const {
    return rows_side_by_side ? RunScales{x_scales.device(), 1, shape.m} : RunScales{x_scales.device(), runs_of(shape.k), 1};
  }

  MatmulShape shape;
  Elements<float> x_scales;
  Elements<float> w_scales;
  Elements<float> bias;
};

using Launch = void (*)(const BlockGemm&, cudaStream_t);

/// Checks a product whose sums of runs are exact: sum(row, column, first element, elements).
void check_blocks(Launch launch, const MatmulShape& s, const Elements<std::uint8_t>& x, const Elements<std::uint8_t>& w, int exponents,
                  Random& random, const std::function<float(std::uint64_t, std::uint64_t, std::uint64_t)>& sum) {
  const BlockOperands operands(s, exponents, random);
  const bool rows_side_by_side = s.m % 2 == 0;
  expect_product(
      s,
      [&](std::uint16_t* y, cudaStream_t stream) {
        launch({s, x.device(), w.device(), operands.runs(rows_side_by_side), operands.w_scales.device(), operands.bias.device(), y},
               stream);
      },
      [&](std::uint64_t row, std::uint64_t column) {
        float total = 0;
        for (std::uint64_t from = 0; from < s.k; from += kScaleBlock) {
          const std::uint64_t count = std::min(kScaleBlock, s.k - from);
          total = std::fma(sum(row * s.k + from, column * s.k + from, count),
                           operands.factor(row, column, from / kScaleBlock, rows_side_by_side), total);
        }
        return total + operands.bias[column];
      });
}

void check_int8_blocks(const MatmulShape& s, int exponents) {
  Random random(test_seed());
  const auto x = random_codes(s.m * s.k, random);
  const auto w = random_codes(s.n * s.k, random);
  check_blocks(launch_int8_block_gemm, s, x, w, exponents, random, [&](std::uint64_t from_x, std::uint64_t from_w, std::uint64_t count) {
    return static_cast<float>(integer_sum(x, from_x, w, from_w, count));
  });
}

TEST_F(Matmul, Int8_blocks_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kShapes) check_int8_blocks(shape, 6);
}

TEST_F(Matmul, Int8_blocks_of_large_tiles_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kLargeShapes) check_int8_blocks(shape, 6);
}

TEST_F(Matmul, Int8_blocks_may_have_extreme_scales) { check_int8_blocks({70, 150, 528}, 60); }

std::vector<float> decoded(const Elements<std::uint8_t>& codes, std::uint64_t count) {
  std::vector<float> values(count);
  for (std::uint64_t i = 0; i < count; ++i) values[i] = codec::E4M3::decode(codes[i]);
  return values;
}

/// Codes of -2 to 2 in halves: the products are quarters of at most 4, whose sums over a run need 12 bits, so that the tensor
/// cores drop none.
Elements<std::uint8_t> short_codes(std::uint64_t count, Random& random) {
  return elements<std::uint8_t>(count, [&] {
    return static_cast<std::uint8_t>(codec::E4M3::encode_saturating(static_cast<float>(static_cast<int>(random() % 9) - 4) * 0.5F));
  });
}

void check_fp8_blocks(const MatmulShape& s) {
  Random random(test_seed());
  const auto x = short_codes(s.m * s.k, random);
  const auto w = short_codes(s.n * s.k, random);
  const std::vector<float> x_values = decoded(x, s.m * s.k);
  const std::vector<float> w_values = decoded(w, s.n * s.k);
  check_blocks(launch_fp8_block_gemm, s, x, w, 6, random, [&](std::uint64_t from_x, std::uint64_t from_w, std::uint64_t count) {
    float sum = 0;  // exact
    for (std::uint64_t i = 0; i < count; ++i) sum += x_values[from_x + i] * w_values[from_w + i];
    return sum;
  });
}

TEST_F(Matmul, Fp8_blocks_of_short_codes_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kShapes) check_fp8_blocks(shape);
}

TEST_F(Matmul, Fp8_blocks_of_large_tiles_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kLargeShapes) check_fp8_blocks(shape);
}

/// What a sum of products may be off by.  The tensor cores add the 32 products of a step to the sum before at once; of each
/// term they keep what reaches down to 13 bits below the largest.
struct RoughSum {
  static constexpr std::uint64_t kStep = 32;
  double sum = 0;
  double error = 0;

  void add_step(const float* x, const float* w, std::uint64_t count) {
    double largest = std::fabs(sum);
    for (std::uint64_t i = 0; i < count; ++i) {
      const double product = static_cast<double>(x[i]) * static_cast<double>(w[i]);
      largest = std::max(largest, std::fabs(product));
      sum += product;
    }
    error += static_cast<double>(count + 1) * 0x1p-13 * (largest + error);
  }
};

TEST_F(Matmul, Fp8_blocks_of_any_codes_are_as_near_as_the_tensor_cores_allow) {
  Random random(test_seed());
  constexpr MatmulShape kShape{150, 136, 400};
  std::normal_distribution<float> normal(0.0F, 32.0F);
  const auto number = [&] { return static_cast<std::uint8_t>(codec::E4M3::encode_saturating(normal(random))); };
  const auto x = elements<std::uint8_t>(kShape.m * kShape.k, number);
  const auto w = elements<std::uint8_t>(kShape.n * kShape.k, number);
  const std::vector<float> x_values = decoded(x, kShape.m * kShape.k);
  const std::vector<float> w_values = decoded(w, kShape.n * kShape.k);
  const BlockOperands operands(kShape, 2, random);
  check_product(
      kShape,
      [&](std::uint16_t* y, cudaStream_t stream) {
        launch_fp8_block_gemm({kShape, x.device(), w.device(), operands.runs(true), operands.w_scales.device(), nullptr, y}, stream);
      },
      [&](std::uint64_t row, std::uint64_t column, std::uint16_t found) {
        double total = 0;
        double error = 0;
        for (std::uint64_t from = 0; from < kShape.k; from += kScaleBlock) {
          RoughSum run;
          for (std::uint64_t at = from; at < std::min(from + kScaleBlock, kShape.k); at += RoughSum::kStep) {
            run.add_step(&x_values[row * kShape.k + at], &w_values[column * kShape.k + at], std::min(RoughSum::kStep, kShape.k - at));
          }
          const double factor = static_cast<double>(operands.factor(row, column, from / kScaleBlock, true));
          total += run.sum * factor;
          error += run.error * std::fabs(factor);
        }
        error += (std::fabs(total) + error) * 0x1p-8;  // of BF16; that of binary32 is far below
        EXPECT_NEAR(static_cast<double>(codec::Bf16::decode(found)), total, error) << "row " << row << ", column " << column;
      });
}

/// launch() throws unsupported with a sentence that contains `words`.
void expect_refused(const std::function<void()>& launch, const std::string& words) {
  try {
    launch();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST_F(Matmul, Rows_that_the_copy_engine_cannot_fetch_are_refused) {
  const Elements<std::uint8_t> codes(std::vector<std::uint8_t>(4096));
  const Elements<float> one(std::vector<float>{1.0F});
  Elements<std::uint16_t> y(std::vector<std::uint16_t>(16));
  const auto launch = [&](std::uint64_t k, std::uint64_t offset) {
    const auto* x = reinterpret_cast<const std::int8_t*>(codes.device()) + offset;
    launch_int8_gemm({{1, 1, k}, x, x, {one.device(), false}, {one.device(), false}, nullptr, y.device()}, nullptr);
  };
  expect_refused([&] { launch(24, 0); }, "multiple of 16 elements, at most 131056; found 24");
  expect_refused([&] { launch(0, 0); }, "found 0");
  expect_refused([&] { launch(131072, 0); }, "found 131072");
  expect_refused([&] { launch(16, 8); }, "aligned to 16 bytes");
}

}  // namespace
}  // namespace halftone::test
