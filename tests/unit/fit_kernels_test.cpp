// The fits of every instruction set that runs here, against the function of the format.
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cpu/cpu_backend.hpp"
#include "formats/w4a8/format.hpp"

namespace halftone::cpu {
namespace {

using formats::w4a8::Format;

/// Groups of any size of number, zeros among them, and some whose sums overflow or that hold no number.
std::vector<float> row_of(std::uint32_t n, std::uint32_t group, bool huge) {
  std::mt19937 random(n + group);
  std::normal_distribution<float> normal;
  std::vector<float> row(n);
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t g = i / group;
    const float unit = std::ldexp(1.0F, static_cast<int>(g * 37 % 60) - 40);
    row[i] = g == 4 ? 0.0F : normal(random) * unit;
    if (huge && g % 3 == 1 && g < 8) row[i] = std::copysign(3e38F, row[i]);
    if (huge && g == 9) row[i] = i % group == 1 ? std::numeric_limits<float>::quiet_NaN() : i % group == 0 ? 8.0F : 0.5F;
  }
  return row;
}

TEST(FitKernels, Fitted_scales_are_those_of_the_format_for_every_size_of_group) {
  for (const KernelTable* kernels : usable_kernels()) {
    for (const std::uint32_t group : {4U, 8U, 16U, 32U, 64U, 128U, 256U}) {
      // Rows of 27 groups: more than are fitted at once, and not a multiple.  The largest are fitted one by one.
      for (const bool huge : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, groups of {}, huge {}", kernels->instruction_set, group, huge));
        const std::uint32_t n = 27 * group;
        const std::vector<float> row = row_of(n, group, huge);
        std::vector<float> found(27);
        const float largest = kernels->fit[formats::w4a8::descriptor().index()](row.data(), n, group, found.data());
        float wanted_largest = 0.0F;
        for (std::uint32_t g = 0; g < 27; ++g) {
          EXPECT_EQ(codec::bits(found[g]), codec::bits(Format::fit(row.data() + g * group, group, wanted_largest))) << "group " << g;
        }
        EXPECT_EQ(codec::bits(largest), codec::bits(wanted_largest));
      }
    }
  }
}

/// Weights on both sides of what decides between neighbouring codes, and far outside.
std::vector<float> weights_near_limits(float scale) {
  std::vector<float> weights = {0.0F, -0.0F, 1e-30F, -1e-30F, 1e30F, -1e30F, 0x1p-20F, 0x1p-19F, 0x1.8p-20F};
  for (std::uint32_t code = 0; code < 15; ++code) {
    const float low = Format::decode_level(Format::level(code), scale);
    const float midpoint = (low + Format::decode_level(Format::level(code + 1), scale)) * 0.5F;
    for (const float base : {low, midpoint}) {
      for (float step = 0x1p-26F; step < 1.0F; step *= 2) weights.insert(weights.end(), {base - step, base + step});
      weights.push_back(base);
    }
  }
  if (weights.size() % 2 != 0) weights.push_back(0.25F);
  return weights;
}

TEST(FitKernels, Codes_are_those_of_the_format_for_every_scale_of_a_group) {
  std::vector<float> scales = {-1.0F, 0.3F, 1000.0F, std::numeric_limits<float>::infinity()};
  for (int stored = 0; stored < 256; ++stored) scales.push_back(codec::E4M3::decode(static_cast<std::uint8_t>(stored)));
  for (const KernelTable* kernels : usable_kernels()) {
    for (const float scale : scales) {
      const std::vector<float> weights = weights_near_limits(scale);
      std::vector<std::uint8_t> codes(weights.size() / 2);
      kernels->encode[formats::w4a8::descriptor().index()][formats::kF32](reinterpret_cast<const std::byte*>(weights.data()),
                                                                          weights.size(), weights.size(), &scale,
                                                                          reinterpret_cast<std::byte*>(codes.data()), 0);
      for (std::size_t i = 0; i < weights.size(); ++i) {
        ASSERT_EQ((unsigned{codes[i / 2]} >> (i % 2 * 4)) & 15U, Format::encode(weights[i], scale))
            << kernels->instruction_set << ": weight " << weights[i] << ", scale " << scale;
      }
    }
  }
}

}  // namespace
}  // namespace halftone::cpu
