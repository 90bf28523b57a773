#pragma once

#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/convert.hpp>
#include <halftone/plan.hpp>

namespace halftone::api {

/// The device of a run, which takes a while to start: meanwhile headers are read and the plan is made.  Where several GPUs are
/// named, the plan says how many of them are worth their start; a plan that measures weights does so on the first one.
class DeviceStart {
 public:
  /// Begins, unless several GPUs are named.  `options` must outlive the start.
  explicit DeviceStart(const RunOptions& options);

  /// The device to measure weights on, before there is a plan.  Throws as open_backend().
  [[nodiscard]] const Backend& for_plan();
  /// Begins with what `plan` takes.
  void begin_for(const Plan& plan);
  /// The device; once, after begin_for().  Throws as open_backend().
  [[nodiscard]] std::unique_ptr<Backend> take();
  /// What to say of GPUs that were named and are not worth their start for `plan`; empty where there are none.
  [[nodiscard]] std::string unused(const Plan& plan) const;

 private:
  /// Opens the first `count` of the GPUs named, or whatever else the device is; the first `shown` may be opened later.
  void open(std::size_t count, std::size_t shown);
  [[nodiscard]] Backend& opened();

  const RunOptions& options_;
  std::vector<int> named_;
  std::size_t used_;         ///< of those that are named
  bool is_looking_ = false;  ///< open() has been called
  std::unique_ptr<Backend> opened_;
  std::future<std::unique_ptr<Backend>> opening_;
  std::future<void> preparing_;
};

}  // namespace halftone::api
