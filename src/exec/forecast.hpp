#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/plan.hpp>
#include <halftone/run_control.hpp>

#include "learn/rates.hpp"

namespace halftone::exec {

/// Seconds that the codes of each job of `plan` usually take on such a device, a GPU with several layers at once; 0 where it
/// does not learn.
[[nodiscard]] std::vector<double> usual_seconds(const Plan& plan, DeviceKind device);

/// Foresees when the layers of a run that learn will be done: before the first of them from their work and the rates of the
/// machine, then from the times of those that are done.
class Forecast {
 public:
  using Measure = std::function<learn::Rates(learn::Engine&)>;

  /// `threads`: that may learn.  `plan`, `backend` and `control` must outlive this.
  Forecast(const Plan& plan, const Backend& backend, unsigned threads, RunControl& control, Measure measure = learn::measure_rates);

  /// A layer that another run has done.
  void skip(const Job& job);
  /// Bytes of its engine that begin() may need for a moment.
  [[nodiscard]] std::uint64_t measuring_bytes();
  /// To be called around the work on a layer, by the thread that does it.  The first ones measure the engine.
  void begin(learn::Engine& engine);
  void end(const Job& job, double seconds);

 private:
  void measure(learn::Engine& engine);
  void expect(const learn::Rates& rates);
  void start();
  void foresee(double slowness, std::size_t at_once);

  const Plan& plan_;
  RunControl& control_;
  Measure measure_;
  DeviceKind device_;
  bool may_measure_;
  bool may_overlap_;  ///< copies of a layer and what a GPU computes for another
  std::size_t expected_at_once_;
  learn::Loading loading_;  ///< of all layers together, on a GPU
  std::mutex measuring_;
  std::mutex mutex_;
  std::vector<learn::Workload> work_;  ///< of each job, none where it does not learn
  std::vector<double> expected_;       ///< seconds; empty before there are rates
  std::chrono::steady_clock::time_point begin_{};
  std::size_t done_ = 0;  ///< layers
  double done_expected_ = 0;
  double done_seconds_ = 0;
  std::size_t at_once_ = 0;
  std::size_t most_at_once_ = 0;
};

}  // namespace halftone::exec
