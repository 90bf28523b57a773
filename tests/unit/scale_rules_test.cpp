#include "formats/scale_chains.hpp"

#include "formats/scale_rules.hpp"

#include <limits>

#include <gmock/gmock.h>

#include <halftone/codec/half.hpp>
#include <halftone/codec/integer.hpp>
#include <halftone/codec/minifloat.hpp>

#include "formats/scale_rules.hpp"

namespace halftone::formats {
namespace {

using codec::bits;

/// Bits of a scale's two numbers.
struct ScaleBits {
  std::uint32_t encode;
  std::uint32_t stored;
  friend bool operator==(const ScaleBits&, const ScaleBits&) = default;
};

std::ostream& operator<<(std::ostream& out, const ScaleBits& scale) {
  return out << std::hex << scale.encode << ", " << scale.stored << std::dec;
}

template <class Chain>
ScaleBits scale_bits(float amax) {
  const Scale scale = Chain::scale_from_amax(amax);
  return {bits(scale.encode), bits(scale.stored)};
}

using Fp8 = ReciprocalChain<codec::E4M3>;
using Int8Row = ReciprocalChain<codec::Int8>;
using Int8Tensor = QuotientChain<codec::Int8>;
using Int8Block = DivisionChain<codec::Int8>;

// The bits are those of the worked examples in formats.md, sections 5.1, 5.2, 5.6, 5.7 and 5.9.

TEST(ReciprocalChain, Fp8_examples_give_their_bits) {
  EXPECT_EQ(scale_bits<Fp8>(0.7F), (ScaleBits{0x44200000, 0x3ACCCCCD}));
  EXPECT_EQ(scale_bits<Fp8>(1.5F), (ScaleBits{0x43955556, 0x3B5B6DB6}));
}

TEST(ReciprocalChain, Fp8_of_a_tiny_weight_stops_at_the_smallest_maximum) {
  for (const float amax : {0.0F, 1e-30F, 1e-12F}) EXPECT_EQ(scale_bits<Fp8>(amax), (ScaleBits{0x57CBBA10, 0x2720D7C5})) << amax;
}

TEST(ReciprocalChain, Int8_row_examples_give_their_bits) {
  EXPECT_EQ(scale_bits<Int8Row>(0.5F), (ScaleBits{0x437E0000, 0x3B810204}));
  EXPECT_EQ(scale_bits<Int8Row>(1.5F), (ScaleBits{0x42A95556, 0x3C418305}));
  EXPECT_EQ(scale_bits<Int8Row>(0.0F).stored, 0x280DD87DU);
}

TEST(ReciprocalChain, Shortcuts_differ_as_often_as_the_specification_says) {
  // Over the 128 mantissas of a bfloat16; a compiler that simplifies the chain changes the counts.
  int naive_encode = 0;
  int naive_stored = 0;
  for (std::uint16_t mantissa = 0; mantissa < 128; ++mantissa) {
    const float amax = codec::Bf16::decode(static_cast<std::uint16_t>(0x3F80 + mantissa));
    const Scale scale = Fp8::scale_from_amax(amax);
    naive_encode += bits(448.0F / amax) != bits(scale.encode) ? 1 : 0;
    naive_stored += bits(amax / 448.0F) != bits(scale.stored) ? 1 : 0;
  }
  EXPECT_EQ(naive_encode, 33);
  EXPECT_EQ(naive_stored, 55);
}

TEST(ReciprocalChain, Fp8_trap_gives_the_code_of_the_reference) {
  const Scale scale = Fp8::scale_from_amax(1.5F);
  EXPECT_EQ(Fp8::encode(0.0087890625F, scale.encode), 0x43U);
  EXPECT_EQ(Fp8::encode(0.0087890625F, 448.0F / 1.5F), 0x42U) << "the naive scale no longer shows the trap";
}

TEST(ReciprocalChain, Int8_trap_gives_the_code_of_the_reference) {
  EXPECT_EQ(Int8Row::encode(0.52734375F, Int8Row::scale_from_amax(1.0546875F).encode), 63U);
  EXPECT_EQ(Int8Row::encode(0.52734375F, 127.0F / 1.0546875F), 64U) << "the naive scale no longer shows the trap";
}

TEST(QuotientChain, Int8_examples_give_their_bits) {
  EXPECT_EQ(scale_bits<Int8Tensor>(1.125F), (ScaleBits{0x42E1C71C, 0x3C112245}));
  EXPECT_EQ(scale_bits<Int8Tensor>(1.1171875F), (ScaleBits{0x42E35B4C, 0x3C102041}));
}

TEST(QuotientChain, Int8_trap_gives_the_code_of_the_cpu_reference) {
  EXPECT_EQ(Int8Tensor::encode(0.55859375F, Int8Tensor::scale_from_amax(1.1171875F).encode), 63U);
}

TEST(DivisionChain, Scale_is_the_quotient) { EXPECT_EQ(scale_bits<Int8Block>(1.5F), (ScaleBits{0x3C418306, 0x3C418306})); }

TEST(DivisionChain, Zero_block_has_the_smallest_scale) { EXPECT_EQ(scale_bits<Int8Block>(0.0F), (ScaleBits{0x322BCC77, 0x322BCC77})); }

TEST(DivisionChain, Code_is_of_the_true_quotient) {
  // 3 / fl(3 / 127) is 127 only when divided; multiplied with the rounded reciprocal it is less.
  for (std::uint16_t mantissa = 0; mantissa < 128; ++mantissa) {
    const float amax = codec::Bf16::decode(static_cast<std::uint16_t>(0x3F80 + mantissa));
    EXPECT_EQ(Int8Block::encode(amax / 2, Int8Block::scale_from_amax(amax).encode),
              codec::Int8::encode_saturating((amax / 2) / (amax / 127.0F)));
  }
}

TEST(NoScale, Weight_itself_is_rounded) {
  EXPECT_EQ(NoScale<codec::E4M3>::encode(17.0F, 123.0F), 0x58U);
  EXPECT_EQ(NoScale<codec::E4M3>::decode(0x58, 123.0F), 16.0F);
}

TEST(Decode, Value_is_one_product) {
  EXPECT_EQ(Fp8::decode(0x7E, 0x1p-3F), 56.0F);
  EXPECT_EQ(Int8Tensor::decode(0x81, 0.5F), -63.5F);
  EXPECT_EQ(bits(Int8Row::decode(100, codec::from_bits(0x3B810204))), bits(100.0F * codec::from_bits(0x3B810204)));
}

TEST(Decode, Nan_is_the_quiet_one_of_its_sign) {
  EXPECT_EQ(bits(Fp8::decode(0x7F, 0.5F)), 0x7FC0'0000U);
  EXPECT_EQ(bits(Fp8::decode(0xFF, 0.5F)), 0xFFC0'0000U);
  EXPECT_EQ(bits(Fp8::decode(0xFE, std::numeric_limits<float>::quiet_NaN())), 0xFFC0'0000U);
}

TEST(StoredScale, Every_format_stores_the_scale_of_its_chain) {
  const auto stored = [](const char* name) { return scale_rules(format_named(name)).group(1.1171875F, 1.0F).stored; };
  for (const char* name : {"fp8", "fp8-row", "fp8-block"}) EXPECT_EQ(stored(name), scale_bits<Fp8>(1.1171875F).stored) << name;
  EXPECT_EQ(stored("fp8-e5m2"), scale_bits<ReciprocalChain<codec::E5M2>>(1.1171875F).stored);
  EXPECT_EQ(stored("int8"), 0x3C102041U);
  EXPECT_EQ(stored("int8-row"), scale_bits<Int8Row>(1.1171875F).stored);
  EXPECT_EQ(stored("int8-block"), scale_bits<Int8Block>(1.1171875F).stored);
  EXPECT_EQ(stored("fp8-cast"), bits(1.0F));
}

}  // namespace
}  // namespace halftone::formats
