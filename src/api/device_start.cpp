#include "api/device_start.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/ranges.h>

#include "api/backends.hpp"
#include "api/gpu_count.hpp"
#include "api/resume.hpp"
#include "api/run.hpp"

namespace halftone::api {

DeviceStart::DeviceStart(const RunOptions& options)
    : options_(options), named_(ordinals_named(options.device)), used_(std::max<std::size_t>(named_.size(), 1)) {
  if (used_ == 1) open(used_, used_);
}

void DeviceStart::open(std::size_t count, std::size_t shown) {
  if (options_.before_gpus && may_use_gpus(options_.device) && !is_looking_) {
    options_.before_gpus({named_.begin(), named_.begin() + static_cast<std::ptrdiff_t>(std::min(shown, named_.size()))});
  }
  is_looking_ = true;
  opening_ = std::async(std::launch::async,
                        [&options = options_, count] { return open_backend(options.device, options.device_memory_bytes, count); });
}

Backend& DeviceStart::opened() {
  if (!opened_) opened_ = opening_.get();
  return *opened_;
}

const Backend& DeviceStart::for_plan() {
  if (!is_looking_) open(1, used_);
  return opened();
}

void DeviceStart::begin_for(const Plan& plan) {
  if (named_.size() > 1) {
    used_ = gpu_count(plan, named_.size(), threads_of(options_));
    if (!is_looking_ || used_ > 1) {
      opened_.reset();
      open(used_, used_);
    }
  }
  // Behind open(): before_gpus() may change the environment, which this reads.
  if (learns(plan)) preparing_ = std::async(std::launch::async, [&options = options_] { prepare_learning(options.device); });
}

std::unique_ptr<Backend> DeviceStart::take() {
  std::ignore = opened();
  return std::move(opened_);
}

std::string DeviceStart::unused(const Plan& plan) const {
  if (used_ >= named_.size()) return {};
  return fmt::format("cuda:{} not used: {}", fmt::join(named_.begin() + static_cast<std::ptrdiff_t>(used_), named_.end(), ", "),
                     why_fewer_gpus(plan));
}

}  // namespace halftone::api
