#include "formats/nvfp4/error_table.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace halftone::formats::nvfp4 {
namespace {

/// A table as kernels have it.
class Table {
 public:
  explicit Table(float tensor) : tensor_(tensor), entries_(static_cast<std::size_t>(kRows) * ErrorTable::kOctaveScales) {
    for (std::uint32_t row = ErrorTable::kRowsBefore; row < kRows; ++row) {
      for (std::uint32_t i = 0; i < ErrorTable::kOctaveScales; ++i) {
        entries_[row * ErrorTable::kOctaveScales + i] = ErrorTable::entry(tensor, row - ErrorTable::kRowsBefore, i);
      }
    }
  }

  [[nodiscard]] float tensor() const { return tensor_; }

  /// Two sums to a word, for the octaves of `window`.
  void add(const float (&magnitudes)[16], const ErrorTable::Window& window, std::uint32_t (&sums)[8]) const {
    for (const float magnitude : magnitudes) {
      const int row = static_cast<int>(codec::bits(magnitude) >> 16) - static_cast<int>(ErrorTable::first_row(tensor_, window.octave));
      const auto low = static_cast<std::uint32_t>(std::clamp(row, 0, ErrorTable::kRows - 1) + ErrorTable::kRowsBefore);
      for (std::uint32_t i = 0; i < 16; ++i) {
        const std::uint32_t at = i < 8 ? low : low - ErrorTable::kOctaveRows;
        sums[i / 2] += entries_[at * ErrorTable::kOctaveScales + i % 8] << (i % 2 * 16);
      }
    }
  }

 private:
  static constexpr std::uint32_t kRows = ErrorTable::kRows + ErrorTable::kRowsBefore;
  float tensor_;
  std::vector<std::uint32_t> entries_;
};

/// The squared error of a run, added as a search adds it.
float squared_error(const float (&magnitudes)[16], float scale) {
  float errors[16];
  for (int l = 0; l < 16; ++l) {
    const float difference = Format::nearest(magnitudes[l], scale, scale) - magnitudes[l];
    errors[l] = difference * difference;
  }
  for (int half = 8; half > 0; half /= 2) {
    for (int l = 0; l < half; ++l) errors[l] += errors[l + half];
  }
  return errors[0];
}

struct Looked {
  std::uint64_t runs = 0;
  std::uint64_t with_sums = 0;
  std::uint64_t decided = 0;  ///< runs of which one code is open
  std::uint64_t open = 0;     ///< codes of the others
};

/// Every code that is not open is worse than the best one.
void look(const Table& table, const float (&magnitudes)[16], Looked& looked) {
  const float amax = *std::max_element(std::begin(magnitudes), std::end(magnitudes));
  const auto window = ErrorTable::Window::of(amax, table.tensor());
  ASSERT_LE(window.first, window.last);
  ASSERT_LT(window.last - window.origin, 31U);
  ++looked.runs;
  if (!window.has_sums) return;
  ++looked.with_sums;
  std::uint32_t sums[8] = {};
  table.add(magnitudes, window, sums);
  const std::uint32_t open = ErrorTable::open(window, sums, amax, table.tensor());
  ASSERT_NE(open, 0U);
  ASSERT_EQ(open & ~window.all(), 0U);
  if ((open & (open - 1)) == 0) {
    ++looked.decided;
  } else {
    looked.open += static_cast<std::uint64_t>(__builtin_popcount(open));
  }
  float least = INFINITY;
  float least_open = INFINITY;
  float least_closed = INFINITY;
  for (std::uint32_t code = window.first; code <= window.last; ++code) {
    const float error = squared_error(magnitudes, Format::decode_operand(static_cast<std::uint8_t>(code), table.tensor()));
    least = std::min(least, error);
    float& of_kind = (open >> (code - window.origin) & 1U) != 0 ? least_open : least_closed;
    of_kind = std::min(of_kind, error);
  }
  ASSERT_EQ(least_open, least) << "amax " << amax << ", tensor " << table.tensor();
  ASSERT_GT(least_closed, least) << "amax " << amax << ", tensor " << table.tensor();
}

float rounded(float magnitude) { return codec::from_bits(codec::bits(magnitude) & 0xFFFF'0000U); }

const float kTensors[] = {1.0F / 2688.0F, 1.0F / 1536.0F, 1.0F, 1.99999F, 0x1p-40F, 0x1p+40F, 0.7F};

TEST(Nvfp4ErrorTable, Entries_are_within_half_a_unit) {
  for (const float tensor : kTensors) {
    for (int row = 0; row < ErrorTable::kRows; ++row) {
      const double weight =
          static_cast<double>(codec::from_bits((ErrorTable::first_row(tensor, 7) + static_cast<std::uint32_t>(row)) << 16)) /
          static_cast<double>(tensor);
      for (std::uint32_t i = 0; i < ErrorTable::kOctaveScales; ++i) {
        double least = INFINITY;
        for (const double code : {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0}) {
          least = std::min(least, std::fabs(weight - code * (1.0 + i / 8.0)));
        }
        const double units = std::min(768.0 * least * least, 4095.0);
        ASSERT_NEAR(ErrorTable::entry(tensor, static_cast<std::uint32_t>(row), i), units, 0.501)
            << tensor << ", row " << row << ", scale " << i;
      }
    }
    EXPECT_EQ(ErrorTable::entry(tensor, 0, 0), 0U) << "smaller weights have no row, and no error";
  }
}

TEST(Nvfp4ErrorTable, The_best_scale_is_open_for_random_weights) {
  std::mt19937 random(17);
  std::normal_distribution<float> normal;
  for (const float tensor : kTensors) {
    const Table table(tensor);
    Looked looked;
    for (int trial = 0; trial < 30'000 && !testing::Test::HasFailure(); ++trial) {
      const float size = 2688.0F * tensor * std::ldexp(1.0F, -static_cast<int>(random() % 14));
      float magnitudes[16];
      for (float& magnitude : magnitudes) magnitude = rounded(std::min(codec::magnitude(normal(random)) * 0.3F, 1.0F) * size);
      if (trial % 4 == 0) magnitudes[random() % 16] = rounded(size);
      if (trial % 5 == 0) magnitudes[random() % 16] *= 0x1p-30F;
      look(table, magnitudes, looked);
    }
    // What makes the table worth its room.
    EXPECT_GT(looked.with_sums, looked.runs * 3 / 4);
    EXPECT_GT(looked.decided, looked.with_sums * 3 / 4);
  }
}

TEST(Nvfp4ErrorTable, The_best_scale_is_open_for_weights_between_codes_and_equal_ones) {
  std::mt19937 random(18);
  for (const float tensor : kTensors) {
    const Table table(tensor);
    Looked looked;
    for (int trial = 0; trial < 30'000 && !testing::Test::HasFailure(); ++trial) {
      // Few values of few bits: large errors, and many scales that are equally good.
      const float scale = Format::decode_operand(static_cast<std::uint8_t>(16 + random() % 111), tensor);
      const float halves[] = {5.0F, 3.5F, 2.5F, 1.75F, 0.25F, 6.0F, 4.0F, 0.0F};
      const std::uint32_t kinds = 1 + random() % 8;
      float magnitudes[16];
      for (float& magnitude : magnitudes) magnitude = rounded(halves[random() % kinds] * scale);
      if (trial % 3 == 0) magnitudes[0] = rounded(6.0F * scale);
      look(table, magnitudes, looked);
    }
    EXPECT_GT(looked.with_sums, looked.runs / 2);
  }
}

}  // namespace
}  // namespace halftone::formats::nvfp4
