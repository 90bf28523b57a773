// The arithmetic that everything else rests on: the flags of device and host code give separate
// roundings, subnormals, and correctly rounded division and square root.
#include <cmath>
#include <iterator>

#include "sweep.cuh"

namespace halftone::test {
namespace {

class Arithmetic : public GpuTest {};
class ArithmeticExhaustive : public GpuTest {};

struct Triple {
  float a, b, c;
};

[[nodiscard]] std::string show_all(const Triple& t) { return "a " + show(t.a) + ", b " + show(t.b) + ", c " + show(t.c); }

/// The shapes that compilers contract: a sum in the low half, a difference in the high half.
[[nodiscard]] HALFTONE_HD std::uint64_t two_roundings(const Triple& t) {
  return codec::bits(t.a * t.b + t.c) | std::uint64_t{codec::bits(-t.c - t.a * t.b)} << 32;
}

/// a and b in [1, 2), c in (-4, -1]: the leading bits cancel, so the result shows whether the low
/// half of the product was rounded away.
[[nodiscard]] HALFTONE_HD Triple cancelling_triple(std::uint64_t seed, std::uint64_t index) {
  const std::uint64_t x = random_bits(seed, 2 * index);
  const std::uint64_t y = random_bits(seed, 2 * index + 1);
  const auto mantissa = [](std::uint64_t bits) { return static_cast<std::uint32_t>(bits) & 0x7F'FFFFU; };
  const std::uint32_t binade = (x >> 63) != 0 ? 0xC000'0000U : 0xBF80'0000U;
  return {codec::from_bits(0x3F80'0000U | mantissa(x)), codec::from_bits(0x3F80'0000U | mantissa(x >> 32)),
          codec::from_bits(binade | mantissa(y))};
}

/// Products that round to exactly -c.
struct KnownProducts {
  using Result = std::uint64_t;
  Triple triples[3] = {
      {1.0F + 0x1p-12F, 1.0F + 0x1p-12F, -1.0F - 0x1p-11F},  // the exact product lies halfway, 2^-24 above -c
      {3.0F, 1.0F / 3.0F, -1.0F},                            // 2^-25 above
      {0.1F, 10.0F, -1.0F},                                  // 2^-26 above
  };
  HALFTONE_HD Result operator()(std::uint64_t index) const { return two_roundings(triples[index]); }
  [[nodiscard]] std::string describe(std::uint64_t index) const { return show_all(triples[index]); }
};

struct SeparateRoundings {
  using Result = std::uint64_t;
  std::uint64_t seed;
  HALFTONE_HD Result operator()(std::uint64_t index) const { return two_roundings(cancelling_triple(seed, index)); }
  [[nodiscard]] std::string describe(std::uint64_t index) const { return show_all(cancelling_triple(seed, index)); }
};

struct DeliberateFusion {
  using Result = std::uint32_t;
  std::uint64_t seed;
  HALFTONE_HD Result operator()(std::uint64_t index) const {
    const Triple t = cancelling_triple(seed, index);
    return codec::bits(::fmaf(t.a, t.b, t.c));
  }
  [[nodiscard]] std::string describe(std::uint64_t index) const { return show_all(cancelling_triple(seed, index)); }
};

/// Each subnormal of either sign, and both zeros, as an operand and as a result.
struct Subnormals {
  using Result = std::uint64_t;
  static constexpr std::uint64_t kCount = std::uint64_t{1} << 24;
  [[nodiscard]] static HALFTONE_HD float operand(std::uint64_t index) {
    const auto all = static_cast<std::uint32_t>(index);
    return codec::from_bits((all & 0x7F'FFFFU) | (all << 8 & codec::kSignMask));
  }
  HALFTONE_HD Result operator()(std::uint64_t index) const {
    const float x = operand(index);
    const std::uint32_t larger = codec::bits(codec::larger(x, 0.0F));
    return (codec::bits(x + x) ^ larger) | std::uint64_t{codec::bits(x * 0.75F)} << 32;
  }
  [[nodiscard]] std::string describe(std::uint64_t index) const { return show(operand(index)); }
};

struct SquareRoot : OfFloat {
  using Result = std::uint32_t;
  HALFTONE_HD Result operator()(std::uint64_t pattern) const { return bits_or_nan(::sqrtf(value(pattern))); }
};

struct Reciprocal : OfFloat {
  using Result = std::uint32_t;
  HALFTONE_HD Result operator()(std::uint64_t pattern) const { return bits_or_nan(1.0F / value(pattern)); }
};

/// Quotients of random bit patterns.
struct Quotient {
  using Result = std::uint32_t;
  std::uint64_t seed;
  [[nodiscard]] HALFTONE_HD float dividend(std::uint64_t index) const {
    return codec::from_bits(static_cast<std::uint32_t>(random_bits(seed, index)));
  }
  [[nodiscard]] HALFTONE_HD float divisor(std::uint64_t index) const {
    return codec::from_bits(static_cast<std::uint32_t>(random_bits(seed, index) >> 32));
  }
  HALFTONE_HD Result operator()(std::uint64_t index) const { return bits_or_nan(dividend(index) / divisor(index)); }
  [[nodiscard]] std::string describe(std::uint64_t index) const { return show(dividend(index)) + " / " + show(divisor(index)); }
};

/// Doubles around the range of binary32, rounded to it.
struct Narrowing {
  using Result = std::uint32_t;
  std::uint64_t seed;
  [[nodiscard]] HALFTONE_HD double operand(std::uint64_t index) const {
    // 512 binades from 2^-256 on: subnormal and infinite results too.
    const std::uint64_t x = random_bits(seed, index);
    const std::uint64_t exponent = 1023 - 256 + (x >> 52 & 0x1FFU);
    return __builtin_bit_cast(double, (x & 0x800F'FFFF'FFFF'FFFFU) | exponent << 52);
  }
  HALFTONE_HD Result operator()(std::uint64_t index) const { return codec::bits(static_cast<float>(operand(index))); }
  [[nodiscard]] std::string describe(std::uint64_t index) const {
    char text[48];
    std::snprintf(text, sizeof text, "%a", operand(index));
    return text;
  }
};

TEST_F(Arithmetic, A_product_that_rounds_to_the_other_term_leaves_nothing) {
  const KnownProducts products;
  for (std::uint64_t i = 0; i < std::size(products.triples); ++i) {
    const Triple t = products.triples[i];
    EXPECT_EQ(products(i), 0U) << show_all(t);
    EXPECT_NE(::fmaf(t.a, t.b, t.c), 0.0F) << show_all(t) << " would not show a fused operation";
  }
  EXPECT_TRUE(same_on_device(products, std::size(products.triples)));
}

TEST_F(Arithmetic, Products_and_sums_round_separately) {
  const SeparateRoundings separate{test_seed()};
  const DeliberateFusion fused{test_seed()};
  constexpr std::uint64_t sample = 1U << 16;
  std::uint64_t telling = 0;
  for (std::uint64_t i = 0; i < sample; ++i) telling += static_cast<std::uint32_t>(separate(i)) != fused(i) ? 1U : 0U;
  EXPECT_GT(telling, sample / 4) << "too few triples would show a fused operation";
  EXPECT_TRUE(same_on_device(separate, 1U << 22));
}

TEST_F(Arithmetic, A_deliberate_fma_rounds_once) { EXPECT_TRUE(same_on_device(DeliberateFusion{test_seed()}, 1U << 20)); }

TEST_F(Arithmetic, Subnormals_are_neither_flushed_nor_read_as_zero) {
  const Subnormals subnormals;
  EXPECT_EQ(subnormals(2), std::uint64_t{2} << 32 | (4 ^ 2));  // 2 steps: doubled 4, times 0.75 rounded to 2
  EXPECT_TRUE(same_on_device(subnormals, Subnormals::kCount));
}

TEST_F(Arithmetic, Quotients_are_correctly_rounded) { EXPECT_TRUE(same_on_device(Quotient{test_seed()}, 1U << 24)); }

TEST_F(Arithmetic, Doubles_round_to_floats_alike) { EXPECT_TRUE(same_on_device(Narrowing{test_seed()}, 1U << 24)); }

TEST_F(ArithmeticExhaustive, Reciprocals_are_correctly_rounded) { EXPECT_TRUE(same_on_device(Reciprocal{}, kEveryFloat)); }

TEST_F(ArithmeticExhaustive, Square_roots_are_correctly_rounded) { EXPECT_TRUE(same_on_device(SquareRoot{}, kEveryFloat)); }

}  // namespace
}  // namespace halftone::test
