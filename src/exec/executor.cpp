#include "exec/executor.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/fail.hpp"
#include "base/parallel.hpp"
#include "exec/candidate_errors.hpp"
#include "exec/job_queue.hpp"
#include "exec/work.hpp"
#include "formats/double_quant.hpp"
#include "formats/layer_layout.hpp"
#include "formats/stored_matrix.hpp"
#include "io/io_time.hpp"
#include "learn/layer_bytes.hpp"

namespace halftone::exec {
namespace {

/// A job being worked on.
struct Active {
  const Job* job = nullptr;
  std::unique_ptr<Work> work;
  std::size_t stage = 0;
  std::size_t next_task = 0;
  std::size_t unfinished = 0;
};

/// Adds to a RunControl what the calling thread spends its time on.
class TimeShare {
 public:
  explicit TimeShare(RunControl& control) : control_(control), before_(io::io_time()) {}
  TimeShare(const TimeShare&) = delete;
  TimeShare& operator=(const TimeShare&) = delete;
  ~TimeShare() {
    const std::uint64_t all = static_cast<std::uint64_t>(std::chrono::nanoseconds(Clock::now() - begin_).count());
    const std::uint64_t reading = io::io_time().reading - before_.reading;
    const std::uint64_t writing = io::io_time().writing - before_.writing;
    control_.reading_ns += reading;
    control_.writing_ns += writing;
    control_.computing_ns += all - std::min(all, reading + writing);
  }

 private:
  using Clock = std::chrono::steady_clock;
  RunControl& control_;
  io::IoTime before_;
  Clock::time_point begin_ = Clock::now();
};

/// Runs a task; an error of a device is said to be about the tensor.
std::uint64_t run_task(Active& active, std::size_t stage, std::size_t task, RunControl& control) {
  const TimeShare share(control);
  try {
    return active.work->run(stage, task);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::device || active.job->inputs.empty()) throw;
    fail(ErrorKind::device, "the tensor '{}': {}", active.job->inputs[0].info.name, error.what());
  }
}

/// Hands tasks to threads.  Started jobs come first, the latest first: the second reading of a
/// tensor then finds what the caches still hold.
class Scheduler {
 public:
  /// `learning_at_once`: layers that may learn at a time.
  Scheduler(const Plan& plan, const Context& context, RunControl& control, JobLog* log, std::size_t learning_at_once)
      : plan_(plan),
        context_(context),
        control_(control),
        log_(log),
        queue_(plan, usual_seconds(plan, context.backend.kind()), learning_at_once) {}

  void work_until_done() {
    std::unique_lock lock(mutex_);
    try {
      while (Active* active = next(lock)) run_next_task(*active, lock);
    } catch (...) {
      note_error(nullptr, std::current_exception(), lock);
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void run_next_task(Active& active, std::unique_lock<std::mutex>& lock) {
    const Job* job = active.job;
    const std::size_t task = active.next_task++;
    const std::size_t stage = active.stage;
    if (active.next_task == active.work->tasks(stage)) ready_.erase(std::find(ready_.begin(), ready_.end(), &active));
    try {
      lock.unlock();
      control_.done_bytes += run_task(active, stage, task, control_);
      lock.lock();
      if (--active.unfinished == 0) finish_stage(active, lock);
    } catch (...) {
      note_error(job, std::current_exception(), lock);
    }
  }

  /// Keeps the error of the job of lowest rank, so that the one reported does not depend on the threads; null
  /// for an error that is no job's, which ends everything.
  void note_error(const Job* job, std::exception_ptr error, std::unique_lock<std::mutex>& lock) {
    if (!lock.owns_lock()) lock.lock();
    const std::size_t rank = job == nullptr ? 0 : queue_.rank(*job);
    if (rank < failed_) {
      error_ = std::move(error);
      failed_ = rank;
    }
    std::erase_if(ready_, [&](const Active* active) { return queue_.rank(*active->job) >= failed_; });
    changed_.notify_all();
  }

  /// A job with a task to hand out, or null when all is done.  Layers that learn begin as soon as they may: they take
  /// longest.  After an error, only the jobs of a lower rank than the failed one go on.
  Active* next(std::unique_lock<std::mutex>& lock) {
    while (true) {
      if (control_.stop.load(std::memory_order_relaxed)) fail(ErrorKind::interrupted, "interrupted");
      const Job* job = queue_.take_learning(failed_);
      if (job == nullptr && !ready_.empty()) return ready_.back();
      if (job == nullptr) job = queue_.take_other(failed_);
      if (job != nullptr) {
        start(*job, lock);
        continue;
      }
      if (error_ || running_ == 0) return nullptr;
      changed_.wait(lock);
    }
  }

  void start(const Job& job, std::unique_lock<std::mutex>& lock) {
    ++running_;
    active_.push_back(std::make_unique<Active>());
    Active& active = *active_.back();
    active.job = &job;
    try {
      lock.unlock();
      const bool done = log_ != nullptr && log_->is_done(index_of(job));
      if (done) {
        keep(job);
      } else {
        active.work = make_work(job, context_);
      }
      lock.lock();
      if (done) return retire(active);
      begin_stage(active, lock);
    } catch (...) {
      note_error(&job, std::current_exception(), lock);
    }
  }

  void begin_stage(Active& active, std::unique_lock<std::mutex>& lock) {
    const std::size_t tasks = active.work->tasks(active.stage);
    active.next_task = 0;
    active.unfinished = tasks;
    if (tasks == 0) return finish_stage(active, lock);
    if (queue_.rank(*active.job) >= failed_) return;
    ready_.push_back(&active);
    changed_.notify_all();
  }

  void finish_stage(Active& active, std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    control_.done_bytes += active.work->finish(active.stage);
    const bool last = ++active.stage >= active.work->stages();
    if (last && log_ != nullptr) tell(*log_, *active.job);
    lock.lock();
    if (!last) return begin_stage(active, lock);
    retire(active);
  }

  void tell(JobLog& log, const Job& job) const {
    const std::size_t index = index_of(job);
    const LearnedLayer& learned = context_.learned[index];
    log.job_done(index, learned.tensor.empty() ? nullptr : &learned);
  }

  [[nodiscard]] std::size_t index_of(const Job& job) const { return static_cast<std::size_t>(&job - plan_.jobs.data()); }

  /// Counts the outputs of `job` as done: an earlier run wrote them, and may have told what came of its layer.
  void keep(const Job& job) {
    context_.forecast->skip(job);
    if (auto learned = log_->kept_layer(index_of(job))) context_.note(job, std::move(*learned));
    for (const std::uint32_t index : job.outputs) {
      control_.kept_bytes += plan_.output.tensors[index].bytes();
      control_.done_bytes += plan_.output.tensors[index].bytes();
    }
  }

  void retire(const Active& active) {
    if (active.job->learn) queue_.end_learning();
    std::erase_if(active_, [&](const auto& entry) { return entry.get() == &active; });
    --running_;
    changed_.notify_all();
  }

  const Plan& plan_;
  const Context& context_;
  RunControl& control_;
  JobLog* log_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Active>> active_;
  std::vector<Active*> ready_;
  JobQueue queue_;
  std::size_t running_ = 0;
  std::exception_ptr error_;
  std::size_t failed_ = std::numeric_limits<std::size_t>::max();  ///< the rank of the job whose error it is; 0 for no job's
};

/// Each thread holds at most an output window and a few chunks of floats, so that a quarter of its
/// share of the budget is a safe size for a window.
constexpr std::uint64_t kWindowsPerThread = 4;

/// Bytes of the buffers for the smallest band of `job`: what cannot be cut.
std::uint64_t unit_bytes(const Job& job, const Plan& plan, const Backend& backend) {
  const Shape& written = plan.output.tensors[job.outputs[0]].shape;
  switch (job.kind) {
    case JobKind::copy:
    case JobKind::constant:
    case JobKind::cast:
    case JobKind::recode:
    case JobKind::largest_scale:
    case JobKind::unnest: return 1;
    case JobKind::quantize: {
      if (job.learn && !backend.engine_bytes()) return learning_bytes(job) / kWindowsPerThread;
      const Shape& weight = weight_shape(job);
      const formats::LayerLayout layout(job.spec, weight[0], weight[1]);
      const std::uint64_t rotated = job.spec.rotation_group == 0 ? 0 : layout.columns() * sizeof(float);
      const std::uint64_t decoded = job.stored ? layout.row_multiple() * layout.columns() * sizeof(float) : 0;
      const std::uint64_t searched = CandidateErrors::are_needed(job.spec) ? CandidateErrors::memory_bytes(job.spec, layout.columns()) : 0;
      return layout.code_bytes(layout.row_multiple()) + 2 * layout.scale_bytes(layout.row_multiple()) + rotated + decoded + searched;
    }
    case JobKind::dequantize: {
      const auto [rows, columns] = formats::extent_of(written);
      return formats::LayerLayout(job.stored->spec, rows, columns).group_rows() * columns * sizeof(float);
    }
  }
  return 1;
}

/// Bytes that a job holds from its first band to its last: the scales that are quantized themselves, and what they become.
std::uint64_t held_bytes(const Job& job) {
  if (job.kind != JobKind::quantize || !job.spec.double_quant) return 0;
  const Shape& weight = weight_shape(job);
  const formats::LayerLayout layout(job.spec, weight[0], weight[1]);
  return formats::nesting_bytes(layout.scale_count(layout.rows()));
}

/// What `given` leaves for windows.  Threads share a job of many bands, and begin the next one while its last bands are in
/// work: two jobs hold something at once.
Resources for_windows(const Resources& given, const Plan& plan) {
  std::uint64_t held = 0;
  for (const Job& job : plan.jobs) held = std::max(held, 2 * held_bytes(job));
  return {given.threads, given.memory_bytes - std::min(given.memory_bytes, held)};
}

std::uint64_t largest_unit_bytes(const Plan& plan, const Backend& backend) {
  std::uint64_t largest = 1;
  for (const Job& job : plan.jobs) largest = std::max(largest, unit_bytes(job, plan, backend));
  return largest;
}

/// As many threads as the budget has room for, at least one.
unsigned affordable_threads(const Plan& plan, const Backend& backend, const Resources& resources) {
  const std::uint64_t room = resources.memory_bytes / kWindowsPerThread / largest_unit_bytes(plan, backend);
  return static_cast<unsigned>(std::clamp<std::uint64_t>(room, 1, resources.threads));
}

/// Bytes that one task handles.
std::uint64_t band_bytes(std::uint64_t memory_bytes, unsigned threads) {
  constexpr std::uint64_t smallest = 64 << 10;
  constexpr std::uint64_t largest = 4 << 20;
  return std::clamp(memory_bytes / threads / kWindowsPerThread, smallest, largest);
}

}  // namespace

std::uint64_t learning_bytes(const Job& job) {
  const Shape& weight = weight_shape(job);
  return learn::layer_bytes(*job.learn, job.spec, weight[0], weight[1]);
}

std::vector<LearnedLayer> run_jobs(const Plan& plan, const io::ModelFiles& files, const io::ModelFiles* statistics, const Backend& backend,
                                   std::span<io::OutputFile* const> outputs, const Resources& given, RunControl& control, JobLog* log) {
  const Resources resources = for_windows(given, plan);
  const unsigned threads = affordable_threads(plan, backend, resources);
  std::vector<LearnedLayer> learned(plan.jobs.size());
  Forecast forecast(plan, backend, threads, control);
  const Context context{
      plan, files, backend, outputs, statistics, learned, &forecast, control, band_bytes(resources.memory_bytes, threads), threads};
  Scheduler scheduler(plan, context, control, log, backend.engines_at_once());
  control.done_bytes = 0;
  control.kept_bytes = 0;
  base::run_on_threads(threads, [&] { scheduler.work_until_done(); });
  scheduler.rethrow();
  files.check();
  std::erase_if(learned, [](const LearnedLayer& layer) { return layer.tensor.empty(); });
  return learned;
}

}  // namespace halftone::exec
