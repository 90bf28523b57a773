// The maths of NVFP4 for ordinary scales on the device, against those of the format on the host.
#include "formats/nvfp4/ordinary_format.hpp"
#include "sweep.cuh"

namespace halftone::test {
namespace {

class Nvfp4 : public GpuTest {};

/// The scale of a random group under a random scale of the whole weight, and the code of a weight of the group: the operand
/// of codes in the low half, the stored scale and the code above it.
struct OrdinaryCodes {
  using Result = std::uint64_t;
  struct Sample {
    float weight, amax, tensor;
  };
  std::uint64_t seed;

  [[nodiscard]] HALFTONE_HD Sample sample(std::uint64_t index) const {
    const std::uint64_t x = random_bits(seed, 2 * index);
    const std::uint64_t y = random_bits(seed, 2 * index + 1);
    constexpr std::uint32_t least = codec::bits(0x1p-40F);
    constexpr std::uint32_t most = codec::bits(0x1p8F);
    const float tensor = codec::from_bits(least + static_cast<std::uint32_t>(x % (most - least + 1)));
    // Every fourth maximum may be any number, also infinite; the others lie between 2^-24 and 2 times the largest.
    const float any = codec::from_bits(static_cast<std::uint32_t>((y >> 32) % (codec::kInfinityBits + 1)));
    const float usual = codec::from_bits(codec::bits(5376.0F * tensor) - static_cast<std::uint32_t>((y >> 32) % (25U << 23)));
    const float amax = index % 4 == 0 ? any : usual;
    const float fraction = static_cast<float>(static_cast<std::int32_t>(y)) * 0x1p-31F;
    const float most_of_group = amax < 4096.0F * tensor ? amax : 4096.0F * tensor;
    return {fraction * most_of_group, amax, tensor};
  }
  HALFTONE_HD Result operator()(std::uint64_t index) const {
#if defined(__CUDA_ARCH__)
    using Maths = formats::nvfp4::OrdinaryFormat;
#else
    using Maths = formats::nvfp4::Format;
#endif
    const Sample s = sample(index);
    const auto scale = Maths::scale_from_amax(s.amax, s.tensor);
    const std::uint64_t code = Maths::encode(s.weight, scale.encode);
    return codec::bits(scale.encode) | std::uint64_t{scale.stored} << 32 | code << 40;
  }
  [[nodiscard]] std::string describe(std::uint64_t index) const {
    const Sample s = sample(index);
    return "seed " + std::to_string(seed) + ", weight " + show(s.weight) + ", amax " + show(s.amax) + ", tensor " + show(s.tensor);
  }
};

TEST_F(Nvfp4, Ordinary_scales_and_codes_are_those_of_the_format) {
  EXPECT_TRUE(formats::nvfp4::OrdinaryFormat::serves(0x1p-40F));
  EXPECT_TRUE(formats::nvfp4::OrdinaryFormat::serves(0x1p8F));
  EXPECT_TRUE(same_on_device(OrdinaryCodes{test_seed()}, std::uint64_t{1} << 26));
}

}  // namespace
}  // namespace halftone::test
