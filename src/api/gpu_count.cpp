#include "api/gpu_count.hpp"

#include <algorithm>
#include <vector>

#include "api/resume.hpp"
#include "exec/forecast.hpp"
#include "learn/device_count.hpp"

namespace halftone::api {
namespace {

/// Measured on hosts with two and four H100s (bench/baselines/multi-gpu-h100.txt).  The driver looks at all GPUs that it shows before
/// the first one starts, which takes 0.1 to 0.25 s for each more, and takes them down one by one in the end, 0.07 to 0.1 s;
/// the start of a GPU takes 0.1 to 0.2 s, and the calls for others wait for much of it.  With these a second GPU breaks even
/// on 57 layers of 0.011 s, as it was measured to.
constexpr learn::DeviceCost kAnother{.start = 0.1, .delay = 0.3};

}  // namespace

std::size_t gpu_count(const Plan& plan, std::size_t named, unsigned threads) {
  std::vector<double> seconds = exec::usual_seconds(plan, DeviceKind::gpu);
  std::erase(seconds, 0.0);
  return learn::device_count(seconds, std::min<std::size_t>(named, threads), kAnother);
}

const char* why_fewer_gpus(const Plan& plan) {
  return learns(plan) ? "the layers that learn take less time than another GPU would add"
                      : "without layers that learn, storage and the memory of the host keep no more than one busy";
}

}  // namespace halftone::api
