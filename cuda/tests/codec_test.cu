// Every input of every element codec: device codes and values against those of the host.
#include <halftone/codec/codebook.hpp>
#include <halftone/codec/e8m0.hpp>
#include <halftone/codec/half.hpp>
#include <halftone/codec/integer.hpp>
#include <halftone/codec/minifloat.hpp>

#include "sweep.cuh"

namespace halftone::test {
namespace {

/// Patterns of floats without a sign, up to infinity.
inline constexpr std::uint64_t kEveryMagnitude = std::uint64_t{codec::kInfinityBits} + 1;

class Codec : public GpuTest {};
class CodecExhaustive : public GpuTest {};

/// Functions of a code.
struct OfCode {
  using Result = std::uint32_t;
  [[nodiscard]] std::string describe(std::uint64_t code) const {
    char text[32];
    std::snprintf(text, sizeof text, "code 0x%02llX", static_cast<unsigned long long>(code));
    return text;
  }
};

template <class Minifloat>
struct Encode : OfFloat {
  using Result = std::uint8_t;
  HALFTONE_HD Result operator()(std::uint64_t pattern) const { return static_cast<Result>(Minifloat::encode(value(pattern))); }
};

template <class Element>
struct EncodeSaturating : OfFloat {
  using Result = std::uint8_t;
  HALFTONE_HD Result operator()(std::uint64_t pattern) const {
    return static_cast<Result>(Element::encode_saturating(zero_if_nan(value(pattern))));
  }
};

template <class Element>
struct RoundMagnitude : OfFloat {
  using Result = std::uint32_t;
  HALFTONE_HD Result operator()(std::uint64_t pattern) const {
    return codec::bits(Element::round_magnitude(codec::magnitude(zero_if_nan(value(pattern)))));
  }
};

template <class Table>
struct EncodeTable : OfFloat {
  using Result = std::uint8_t;
  HALFTONE_HD Result operator()(std::uint64_t pattern) const { return static_cast<Result>(Table::encode(zero_if_nan(value(pattern)))); }
};

template <class Half>
struct EncodeHalf : OfFloat {
  using Result = std::uint16_t;
  HALFTONE_HD Result operator()(std::uint64_t pattern) const { return Half::encode(value(pattern)); }
};

template <class Element>
struct Decode : OfCode {
  HALFTONE_HD Result operator()(std::uint64_t code) const { return codec::bits(Element::decode(static_cast<std::uint8_t>(code))); }
};

template <class Half>
struct DecodeHalf : OfCode {
  HALFTONE_HD Result operator()(std::uint64_t code) const { return codec::bits(Half::decode(static_cast<std::uint16_t>(code))); }
};

TEST_F(CodecExhaustive, E4M3_encodes_every_float) { EXPECT_TRUE(same_on_device(Encode<codec::E4M3>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, E5M2_encodes_every_float) { EXPECT_TRUE(same_on_device(Encode<codec::E5M2>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, E4M3_saturates_every_float) { EXPECT_TRUE(same_on_device(EncodeSaturating<codec::E4M3>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, E5M2_saturates_every_float) { EXPECT_TRUE(same_on_device(EncodeSaturating<codec::E5M2>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, Int8_saturates_every_float) { EXPECT_TRUE(same_on_device(EncodeSaturating<codec::Int8>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, E2M1_saturates_every_float) { EXPECT_TRUE(same_on_device(EncodeSaturating<codec::E2M1>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, Int4_saturates_every_float) { EXPECT_TRUE(same_on_device(EncodeSaturating<codec::Int4>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, E4M3_rounds_every_magnitude) { EXPECT_TRUE(same_on_device(RoundMagnitude<codec::E4M3>{}, kEveryMagnitude)); }
TEST_F(CodecExhaustive, E2M1_rounds_every_magnitude) { EXPECT_TRUE(same_on_device(RoundMagnitude<codec::E2M1>{}, kEveryMagnitude)); }
TEST_F(CodecExhaustive, Int8_rounds_every_magnitude) { EXPECT_TRUE(same_on_device(RoundMagnitude<codec::Int8>{}, kEveryMagnitude)); }
TEST_F(CodecExhaustive, Int4_rounds_every_magnitude) { EXPECT_TRUE(same_on_device(RoundMagnitude<codec::Int4>{}, kEveryMagnitude)); }
TEST_F(CodecExhaustive, Nf4_encodes_every_float) { EXPECT_TRUE(same_on_device(EncodeTable<codec::Nf4>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, Fp4_encodes_every_float) { EXPECT_TRUE(same_on_device(EncodeTable<codec::Fp4>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, BnbNf4_encodes_every_float) { EXPECT_TRUE(same_on_device(EncodeTable<codec::BnbNf4>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, BnbFp4_encodes_every_float) { EXPECT_TRUE(same_on_device(EncodeTable<codec::BnbFp4>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, Bf16_encodes_every_float) { EXPECT_TRUE(same_on_device(EncodeHalf<codec::Bf16>{}, kEveryFloat)); }
TEST_F(CodecExhaustive, F16_encodes_every_float) { EXPECT_TRUE(same_on_device(EncodeHalf<codec::F16>{}, kEveryFloat)); }

TEST_F(Codec, E4M3_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::E4M3>{}, kEveryCode)); }
TEST_F(Codec, E5M2_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::E5M2>{}, kEveryCode)); }
TEST_F(Codec, Int8_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::Int8>{}, kEveryCode)); }
TEST_F(Codec, E2M1_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::E2M1>{}, kEveryCode)); }
TEST_F(Codec, Int4_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::Int4>{}, kEveryCode)); }
TEST_F(Codec, E8M0_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::E8M0>{}, kEveryCode)); }
TEST_F(Codec, Nf4_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::Nf4>{}, kEveryCode)); }
TEST_F(Codec, Fp4_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::Fp4>{}, kEveryCode)); }
TEST_F(Codec, BnbFp4_decodes_every_code) { EXPECT_TRUE(same_on_device(Decode<codec::BnbFp4>{}, kEveryCode)); }
TEST_F(Codec, Bf16_decodes_every_code) { EXPECT_TRUE(same_on_device(DecodeHalf<codec::Bf16>{}, kEveryHalf)); }
TEST_F(Codec, F16_decodes_every_code) { EXPECT_TRUE(same_on_device(DecodeHalf<codec::F16>{}, kEveryHalf)); }

}  // namespace
}  // namespace halftone::test
