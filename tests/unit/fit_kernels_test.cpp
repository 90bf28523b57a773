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
    for (const std::uint32_t group : {4U, 8U, 16U, 32U, 64U, 128U}) {
      // Row of 11 groups: more than are fitted at once, and not a multiple.
      for (const bool huge : {false, true}) {
        SCOPED_TRACE(fmt::format("{}, groups of {}, huge {}", kernels->instruction_set, group, huge));
        const std::uint32_t n = 11 * group;
        const std::vector<float> row = row_of(n, group, huge);
        std::vector<float> found(11);
        const float largest = kernels->fit[formats::w4a8::descriptor().index()](row.data(), n, group, found.data());
        float wanted_largest = 0.0F;
        for (std::uint32_t g = 0; g < 11; ++g) {
          EXPECT_EQ(codec::bits(found[g]), codec::bits(Format::fit(row.data() + g * group, group, wanted_largest))) << "group " << g;
        }
        EXPECT_EQ(codec::bits(largest), codec::bits(wanted_largest));
      }
    }
  }
}

}  // namespace
}  // namespace halftone::cpu
