#include "learn/device_count.hpp"

#include <algorithm>
#include <functional>
#include <queue>

namespace halftone::learn {
namespace {

/// Seconds until the last of `layers`, which fall, is done by `devices` devices.
double end_with(const std::vector<double>& layers, std::size_t devices, const DeviceCost& cost) {
  std::priority_queue<double, std::vector<double>, std::greater<>> free_at;
  for (std::size_t i = 0; i < devices; ++i) free_at.push(static_cast<double>(i) * cost.start);
  double last = 0;
  for (const double seconds : layers) {
    const double end = free_at.top() + seconds;
    free_at.pop();
    free_at.push(end);
    last = std::max(last, end);
  }
  return last + static_cast<double>(devices - 1) * cost.delay;
}

}  // namespace

std::size_t device_count(std::vector<double> seconds, std::size_t most, const DeviceCost& cost) {
  std::sort(seconds.begin(), seconds.end(), std::greater<>());
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
