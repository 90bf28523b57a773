#include "visible_gpus.hpp"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string>

#include <fmt/ranges.h>

namespace halftone::tool {
namespace {

constexpr const char* kVariable = "CUDA_VISIBLE_DEVICES";

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

void hide_gpus_behind(const std::vector<int>& ordinals) {
  const int count = *std::max_element(ordinals.begin(), ordinals.end()) + 1;
  const char* visible = std::getenv(kVariable);
  const std::string list = visible != nullptr ? first_entries(visible, count) : numbers_below(count);
  ::setenv(kVariable, list.c_str(), 1);
}

}  // namespace halftone::tool
