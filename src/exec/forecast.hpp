#pragma once

#include <chrono>
#include <mutex>
#include <span>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>

namespace halftone::exec {

/// The work on the codes of each job of `plan`, in multiplications of large products; 0 where it does not learn.
[[nodiscard]] std::vector<double> learning_work(const Plan& plan, DeviceKind device);

/// Foresees when the layers of a run that learn will be done, from the times of those that are.
class Forecast {
 public:
  /// `plan` and `control` must outlive this.
  Forecast(const Plan& plan, const Backend& backend, RunControl& control);

  /// learning_work() of the plan.
  [[nodiscard]] std::span<const double> work() const noexcept { return work_; }

  /// A layer that another run has done.
  void skip(const Job& job);
  /// To be called around the work on a layer, by the thread that does it.
  void begin();
  void end(const Job& job, double seconds);

 private:
  /// Seconds from the first layer's begin to the last one's end, if layers take `seconds_per_work` of time.
  [[nodiscard]] double span(double seconds_per_work) const;

  const Plan& plan_;
  RunControl& control_;
  std::mutex mutex_;
  std::vector<double> work_;  ///< of each job, 0 where it does not learn
  std::chrono::steady_clock::time_point begin_{};
  double done_work_ = 0;
  double done_seconds_ = 0;
  std::size_t at_once_ = 0;
  std::size_t most_at_once_ = 0;
};

}  // namespace halftone::exec
