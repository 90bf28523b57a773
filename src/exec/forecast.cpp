#include "exec/forecast.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "learn/longest_first.hpp"

namespace halftone::exec {
namespace {

/// The parts of copies and of waiting that are seen where a GPU computes other layers meanwhile.
constexpr double kSeenOfCopies = 0.1;
constexpr double kSeenOfWaits = 0.3;

learn::Workload work_of(const Job& job, DeviceKind device) {
  if (!job.learn) return {};
  return learn::layer_work(*job.learn, job.spec, weight_shape(job)[0], weight_shape(job)[1], device);
}

/// What the layers of `plan` that there is `work` on take to load their kernels: the first one, and all others of shapes that
/// are new.
learn::Loading loading_of(const Plan& plan, const std::vector<learn::Workload>& work, bool side_by_side) {
  learn::Loading all;
  std::set<Shape> shapes;
  for (std::size_t i = 0; i < plan.jobs.size(); ++i) {
    const Job& job = plan.jobs[i];
    if (!job.learn || work[i].copies == 0) continue;
    const learn::Loading loading = learn::usual_loading(job.learn->method, side_by_side);
    if (!shapes.insert(weight_shape(job)).second) continue;
    if (shapes.size() > 1) all.another += loading.another;
    all.first = std::max(all.first, loading.first);
  }
  return all;
}

/// `rates` of a GPU as they are seen where it computes several layers at once.
learn::Rates overlapped(learn::Rates rates) {
  rates.copy *= kSeenOfCopies;
  rates.wait *= kSeenOfWaits;
  return rates;
}

std::vector<double> seconds_of_all(const std::vector<learn::Workload>& work, const learn::Rates& rates) {
  std::vector<double> seconds;
  for (const learn::Workload& one : work) seconds.push_back(seconds_of(one, rates));
  return seconds;
}

}  // namespace

std::vector<double> usual_seconds(const Plan& plan, DeviceKind device) {
  const learn::Rates usual = learn::usual_rates(device);
  const learn::Rates rates = device == DeviceKind::gpu ? overlapped(usual) : usual;
  std::vector<double> seconds;
  for (const Job& job : plan.jobs) seconds.push_back(seconds_of(work_of(job, device), rates));
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

std::uint64_t Forecast::measuring_bytes() {
  const std::lock_guard lock(mutex_);
  return may_measure_ && expected_.empty() ? learn::bytes_of_measuring() : 0;
}

void Forecast::begin(learn::Engine& engine) {
  if (may_measure_) measure(engine);
  const std::lock_guard lock(mutex_);
  if (most_at_once_ == 0 && !may_measure_) start();
  most_at_once_ = std::max(most_at_once_, ++at_once_);
}

/// The threads of a processor measure side by side, as they will work: they share caches and clocks.  Of those of GPUs only
/// the first one measures.  The others go on: for longer than it takes they load kernels, and GPUs have little to do.
void Forecast::measure(learn::Engine& engine) {
  std::unique_lock turn(measuring_, std::defer_lock);
  if (device_ == DeviceKind::gpu && !turn.try_lock()) return;
  {
    const std::lock_guard lock(mutex_);
    if (!expected_.empty()) return;
  }
  const learn::Rates rates = measure_(engine);
  const std::lock_guard lock(mutex_);
  if (expected_.empty()) expect(rates);
}

void Forecast::expect(const learn::Rates& rates) {
  expected_ = seconds_of_all(work_, may_overlap_ ? overlapped(rates) : rates);
  start();
  foresee(1.0, expected_at_once_);
  control_.first_foreseen_end_ns = control_.foreseen_end_ns.load();
}

/// Layers are about to begin: those that are skipped are known.
void Forecast::start() {
  if (device_ == DeviceKind::gpu) loading_ = loading_of(plan_, work_, may_overlap_);
  begin_ = std::chrono::steady_clock::now();
}

void Forecast::end(const Job& job, double seconds) {
  const std::lock_guard lock(mutex_);
  --at_once_;
  const bool is_first = done_++ < most_at_once_;
  if (expected_.empty()) return;
  const double expected = expected_[static_cast<std::size_t>(&job - plan_.jobs.data())];
  // The first layers side by side wait for kernels all together.
  if (is_first) seconds = std::max(seconds - loading_.first, std::min(seconds, expected));
  done_expected_ += expected;
  done_seconds_ += seconds;
  if (done_expected_ > 0) foresee(done_seconds_ / done_expected_, most_at_once_);
}

/// Says when the last layer ends if they take `slowness` times what was expected of them, `at_once` side by side, those of
/// most work first.
void Forecast::foresee(double slowness, std::size_t at_once) {
  const double span = slowness * learn::longest_first(expected_, std::vector<double>(at_once));
  const std::chrono::duration<double> all(loading_.first + loading_.another + span);
  const auto end = begin_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(all);
  const auto since_epoch = std::chrono::duration_cast<std::chrono::nanoseconds>(end.time_since_epoch());
  control_.foreseen_end_ns = static_cast<std::uint64_t>(since_epoch.count());
}

}  // namespace halftone::exec
