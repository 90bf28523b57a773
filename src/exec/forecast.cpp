#include "exec/forecast.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <queue>
#include <utility>

namespace halftone::exec {
namespace {

/// The part of copies that is seen where a GPU computes other layers meanwhile.
constexpr double kSeenOfCopies = 0.1;

learn::Work work_of(const Job& job, DeviceKind device) {
  if (!job.learn) return {};
  const Shape& weight = job.stored ? job.stored->shape : job.inputs[0].info.shape;
  return learn::layer_work(*job.learn, weight[0], weight[1], device);
}

std::vector<double> seconds_of_all(const std::vector<learn::Work>& work, const learn::Rates& rates) {
  std::vector<double> seconds;
  for (const learn::Work& one : work) seconds.push_back(seconds_of(one, rates));
  return seconds;
}

}  // namespace

std::vector<double> usual_seconds(const Plan& plan, DeviceKind device) {
  std::vector<double> seconds;
  for (const Job& job : plan.jobs) seconds.push_back(seconds_of(work_of(job, device), learn::usual_rates(device)));
  return seconds;
}

Forecast::Forecast(const Plan& plan, const Backend& backend, unsigned threads, RunControl& control, Measure measure)
    : plan_(plan), control_(control), measure_(std::move(measure)), device_(backend.kind()) {
  const bool on_gpu = device_ == DeviceKind::gpu;
  may_measure_ = !on_gpu || backend.engine_bytes().value_or(0) >= learn::bytes_of_measuring();
  expected_at_once_ = on_gpu ? std::min<std::size_t>(backend.devices(), threads) : threads;
  may_overlap_ = on_gpu && threads > backend.devices();
  for (const Job& job : plan.jobs) work_.push_back(work_of(job, device_));
  if (!may_measure_) expected_ = seconds_of_all(work_, learn::usual_rates(device_));
}

void Forecast::skip(const Job& job) {
  const std::lock_guard lock(mutex_);
  const auto index = static_cast<std::size_t>(&job - plan_.jobs.data());
  work_[index] = {};
  if (!expected_.empty()) expected_[index] = 0;
}

std::uint64_t Forecast::engine_bytes() {
  const std::lock_guard lock(mutex_);
  return may_measure_ && expected_.empty() ? learn::bytes_of_measuring() : 0;
}

void Forecast::begin(learn::Engine& engine) {
  if (may_measure_) measure(engine);
  const std::lock_guard lock(mutex_);
  if (most_at_once_ == 0 && !may_measure_) begin_ = std::chrono::steady_clock::now();
  most_at_once_ = std::max(most_at_once_, ++at_once_);
}

/// The threads of a processor measure side by side, as they will work: they share caches and clocks.  Those of a GPU take
/// turns, and only the first one measures.
void Forecast::measure(learn::Engine& engine) {
  std::unique_lock turn(measuring_, std::defer_lock);
  if (device_ == DeviceKind::gpu) turn.lock();
  {
    const std::lock_guard lock(mutex_);
    if (!expected_.empty()) return;
  }
  const learn::Rates rates = measure_(engine);
  const std::lock_guard lock(mutex_);
  if (expected_.empty()) expect(rates);
}

void Forecast::expect(learn::Rates rates) {
  if (may_overlap_) rates.copy *= kSeenOfCopies;
  expected_ = seconds_of_all(work_, rates);
  begin_ = std::chrono::steady_clock::now();
  foresee(1.0, expected_at_once_);
  control_.first_foreseen_end_ns = control_.foreseen_end_ns.load();
}

void Forecast::end(const Job& job, double seconds) {
  const std::lock_guard lock(mutex_);
  --at_once_;
  if (expected_.empty()) return;
  done_expected_ += expected_[static_cast<std::size_t>(&job - plan_.jobs.data())];
  done_seconds_ += seconds;
  if (done_expected_ > 0) foresee(done_seconds_ / done_expected_, most_at_once_);
}

/// Says when the last layer ends if layers take `slowness` times what was expected of them, `at_once` side by side.
void Forecast::foresee(double slowness, std::size_t at_once) {
  const std::chrono::duration<double> all(span(slowness, at_once));
  const auto end = begin_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(all);
  const auto since_epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(end.time_since_epoch());
  control_.foreseen_end_ns = static_cast<std::uint64_t>(since_epoch.count());
}

/// Those of most work begin first, each where another has ended.
double Forecast::span(double slowness, std::size_t at_once) const {
  std::vector<double> layers = expected_;
  std::sort(layers.begin(), layers.end(), std::greater<>());
  std::priority_queue<double, std::vector<double>, std::greater<>> ends;
  double last = 0;
  for (const double expected : layers) {
    if (!(expected > 0)) break;
    double begin = 0;
    if (ends.size() == at_once) {
      begin = ends.top();
      ends.pop();
    }
    ends.push(begin + expected * slowness);
    last = std::max(last, begin + expected * slowness);
  }
  return last;
}

}  // namespace halftone::exec
