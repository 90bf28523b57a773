#include "learn/device_count.hpp"

#include <algorithm>
#include <utility>

#include "learn/longest_first.hpp"

namespace halftone::learn {
namespace {

/// Seconds until the last of some layers is done by `devices` devices.
double end_with(const std::vector<double>& seconds, std::size_t devices, const DeviceCost& cost) {
  std::vector<double> starts(devices);
  for (std::size_t i = 0; i < devices; ++i) starts[i] = static_cast<double>(i) * cost.start;
  return longest_first(seconds, std::move(starts)) + static_cast<double>(devices - 1) * cost.delay;
}

}  // namespace

std::size_t device_count(const std::vector<double>& seconds, std::size_t most, const DeviceCost& cost) {
  std::size_t best = 1;
  double soonest = end_with(seconds, 1, cost);
  for (std::size_t devices = 2; devices <= std::min(most, seconds.size()); ++devices) {
    const double end = end_with(seconds, devices, cost);
    if (!(end < soonest)) continue;
    soonest = end;
    best = devices;
  }
  return best;
}

}  // namespace halftone::learn
