#include "driver_environment.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string>

#include <fmt/ranges.h>

namespace halftone::tool {
namespace {

constexpr const char* kVisible = "CUDA_VISIBLE_DEVICES";
constexpr const char* kConnections = "CUDA_DEVICE_MAX_CONNECTIONS";
/// Of the 8 that are usual.  With 1, layers that learn side by side wait for one another's kernels, and take up to a sixth longer
/// (bench/baselines/multi-gpu-h100.txt).
constexpr const char* kFewConnections = "3";

/// The first `count` entries of `list`.
std::string first_entries(const std::string& list, int count) {
  std::size_t end = 0;
  for (int i = 0; i < count; ++i) {
    end = list.find(',', i == 0 ? 0 : end + 1);
    if (end == std::string::npos) return list;
  }
  return list.substr(0, end);
}

/// "0,1,2" for 3.
std::string numbers_below(int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return fmt::format("{}", fmt::join(numbers, ","));
}

}  // namespace

void open_few_connections() { ::setenv(kConnections, kFewConnections, 0); }

void hide_gpus_behind(const std::vector<int>& ordinals) {
  const int count = *std::max_element(ordinals.begin(), ordinals.end()) + 1;
  const char* visible = std::getenv(kVisible);
  const std::string list = visible != nullptr ? first_entries(visible, count) : numbers_below(count);
  ::setenv(kVisible, list.c_str(), 1);
}

}  // namespace halftone::tool
