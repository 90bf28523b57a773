// Matrix products of codes with scales of blocks against the same chain of operations on the host.
#include <halftone/codec/half.hpp>

#include "matmul/block_gemm.hpp"
#include "matmul_tools.hpp"

namespace halftone::test {
namespace {

using BlockGemms = Matmul;

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

TEST_F(BlockGemms, Int8_blocks_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kShapes) check_int8_blocks(shape, 6);
}

TEST_F(BlockGemms, Int8_blocks_of_large_tiles_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kLargeShapes) check_int8_blocks(shape, 6);
}

TEST_F(BlockGemms, Int8_blocks_may_have_extreme_scales) { check_int8_blocks({70, 150, 528}, 60); }

void check_fp8_blocks(const MatmulShape& s) {
  Random random(test_seed());
  const auto x = short_codes(s.m * s.k, kE4M3, random);
  const auto w = short_codes(s.n * s.k, kE4M3, random);
  const std::vector<float> x_values = decoded(x, s.m * s.k, kE4M3);
  const std::vector<float> w_values = decoded(w, s.n * s.k, kE4M3);
  check_blocks(launch_fp8_block_gemm, s, x, w, 6, random, [&](std::uint64_t from_x, std::uint64_t from_w, std::uint64_t count) {
    float sum = 0;  // exact
    for (std::uint64_t i = 0; i < count; ++i) sum += x_values[from_x + i] * w_values[from_w + i];
    return sum;
  });
}

TEST_F(BlockGemms, Fp8_blocks_of_short_codes_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kShapes) check_fp8_blocks(shape);
}

TEST_F(BlockGemms, Fp8_blocks_of_large_tiles_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kLargeShapes) check_fp8_blocks(shape);
}

TEST_F(BlockGemms, Blocks_of_few_rows_are_the_chain_of_the_host) {
  for (const MatmulShape& shape : kFewRows) {
    check_int8_blocks(shape, 6);
    check_fp8_blocks(shape);
  }
}

TEST_F(BlockGemms, Fp8_blocks_of_any_codes_are_as_near_as_the_tensor_cores_allow) {
  Random random(test_seed());
  constexpr MatmulShape kShape{150, 136, 400};
  const auto x = bell_codes(kShape.m * kShape.k, kE4M3, random);
  const auto w = bell_codes(kShape.n * kShape.k, kE4M3, random);
  const std::vector<float> x_values = decoded(x, kShape.m * kShape.k, kE4M3);
  const std::vector<float> w_values = decoded(w, kShape.n * kShape.k, kE4M3);
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

}  // namespace
}  // namespace halftone::test
