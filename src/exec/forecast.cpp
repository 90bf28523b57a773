#include "exec/forecast.hpp"

#include <algorithm>
#include <functional>
#include <queue>

#include "learn/layer_work.hpp"

namespace halftone::exec {
namespace {

double work_of(const Job& job, DeviceKind device) {
  if (!job.learn) return 0;
  const Shape& weight = job.stored ? job.stored->shape : job.inputs[0].info.shape;
  return learn::layer_work(*job.learn, weight[0], weight[1], device);
}

}  // namespace

std::vector<double> learning_work(const Plan& plan, DeviceKind device) {
  std::vector<double> work;
  for (const Job& job : plan.jobs) work.push_back(work_of(job, device));
  return work;
}

Forecast::Forecast(const Plan& plan, const Backend& backend, RunControl& control)
    : plan_(plan), control_(control), work_(learning_work(plan, backend.kind())) {}

void Forecast::skip(const Job& job) {
  const std::lock_guard lock(mutex_);
  work_[static_cast<std::size_t>(&job - plan_.jobs.data())] = 0;
}

void Forecast::begin() {
  const std::lock_guard lock(mutex_);
  if (most_at_once_ == 0) begin_ = std::chrono::steady_clock::now();
  most_at_once_ = std::max(most_at_once_, ++at_once_);
}

void Forecast::end(const Job& job, double seconds) {
  const std::lock_guard lock(mutex_);
  --at_once_;
  done_work_ += work_[static_cast<std::size_t>(&job - plan_.jobs.data())];
  done_seconds_ += seconds;
  if (!(done_work_ > 0)) return;
  const std::chrono::duration<double> all(span(done_seconds_ / done_work_));
  const auto end = begin_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(all);
  const auto since_epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(end.time_since_epoch());
  control_.foreseen_end_ns = static_cast<std::uint64_t>(since_epoch.count());
  if (control_.first_foreseen_end_ns == 0) control_.first_foreseen_end_ns = control_.foreseen_end_ns.load();
}

/// Those of most work begin first, each where another has ended.
double Forecast::span(double seconds_per_work) const {
  std::vector<double> layers = work_;
  std::sort(layers.begin(), layers.end(), std::greater<>());
  std::priority_queue<double, std::vector<double>, std::greater<>> ends;
  double last = 0;
  for (const double work : layers) {
    if (!(work > 0)) break;
    double begin = 0;
    if (ends.size() == most_at_once_) {
      begin = ends.top();
      ends.pop();
    }
    ends.push(begin + work * seconds_per_work);
    last = std::max(last, begin + work * seconds_per_work);
  }
  return last;
}

}  // namespace halftone::exec
