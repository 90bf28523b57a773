#include "learn/synthetic.hpp"

#include <cmath>
#include <numbers>

#include "learn/philox.hpp"

namespace halftone::learn {

std::vector<float> synthetic_mean(std::uint64_t columns, std::uint64_t seed) {
  constexpr double vectors = 3072;
  constexpr double unit = 0x1p-32;
  std::vector<float> mean(columns);
  for (std::uint64_t i = 0; i < columns; ++i) {
    const PhiloxWords words = philox(i, seed);
    // Box and Muller's normal number of two uniform ones.
    const double radius = std::sqrt(-2.0 * std::log((words.word[0] + 0.5) * unit));
    mean[i] = static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * words.word[1] * unit) / std::sqrt(vectors));
  }
  return mean;
}

}  // namespace halftone::learn
