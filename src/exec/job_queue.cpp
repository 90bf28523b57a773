#include "exec/job_queue.hpp"

#include <algorithm>

namespace halftone::exec {

JobQueue::JobQueue(const Plan& plan, std::span<const double> work, std::size_t learning_at_once)
    : plan_(plan), ranks_(plan.jobs.size()), most_learning_(std::max<std::size_t>(learning_at_once, 1)) {
  for (const Job& job : plan.jobs) (job.learn ? learning_line_ : other_line_).jobs.push_back(&job);
  const auto work_of = [&](const Job* job) { return work[static_cast<std::size_t>(job - plan_.jobs.data())]; };
  std::stable_sort(learning_line_.jobs.begin(), learning_line_.jobs.end(),
                   [&](const Job* a, const Job* b) { return work_of(a) > work_of(b); });
  std::size_t rank = 0;
  for (const Line* line : {&other_line_, &learning_line_}) {
    for (const Job* job : line->jobs) ranks_[static_cast<std::size_t>(job - plan_.jobs.data())] = ++rank;
  }
}

const Job* JobQueue::take_learning(std::size_t limit) {
  if (learning_ >= most_learning_) return nullptr;
  const Job* job = take(learning_line_, limit);
  if (job != nullptr) ++learning_;
  return job;
}

const Job* JobQueue::take_other(std::size_t limit) { return take(other_line_, limit); }

/// Ranks rise along a line: where the next one is too high, all are.
const Job* JobQueue::take(Line& line, std::size_t limit) const {
  if (line.next == line.jobs.size() || rank(*line.jobs[line.next]) >= limit) return nullptr;
  return line.jobs[line.next++];
}

}  // namespace halftone::exec
