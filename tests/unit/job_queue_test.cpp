#include "exec/job_queue.hpp"

#include <limits>

#include <gtest/gtest.h>

namespace halftone::exec {
namespace {

constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

/// Layers that learn at 0, 2, 3 and 5, copies at 1 and 4.
class JobQueueTest : public testing::Test {
 protected:
  JobQueueTest() {
    for (const double work : work_) {
      Job job{.kind = work > 0 ? JobKind::quantize : JobKind::copy};
      if (work > 0) job.learn = LearnRecipe{};
      plan_.jobs.push_back(job);
    }
  }
  [[nodiscard]] std::ptrdiff_t index_of(const Job* job) const { return job == nullptr ? -1 : job - plan_.jobs.data(); }

  const std::vector<double> work_{2, 0, 7, 2, 0, 3};
  Plan plan_;
};

TEST_F(JobQueueTest, Layers_of_most_work_learn_first_and_equal_ones_in_the_order_of_the_plan) {
  JobQueue queue(plan_, work_, 6);
  for (const std::ptrdiff_t index : {2, 5, 0, 3, -1}) EXPECT_EQ(index_of(queue.take_learning(kAll)), index);
}

TEST_F(JobQueueTest, Other_jobs_keep_their_order) {
  JobQueue queue(plan_, work_, 6);
  for (const std::ptrdiff_t index : {1, 4, -1}) EXPECT_EQ(index_of(queue.take_other(kAll)), index);
}

TEST_F(JobQueueTest, No_more_layers_learn_at_once_than_there_are_engines) {
  JobQueue queue(plan_, work_, 2);
  EXPECT_EQ(index_of(queue.take_learning(kAll)), 2);
  EXPECT_EQ(index_of(queue.take_learning(kAll)), 5);
  EXPECT_EQ(index_of(queue.take_learning(kAll)), -1);
  queue.end_learning();
  EXPECT_EQ(index_of(queue.take_learning(kAll)), 0);
}

TEST_F(JobQueueTest, Behind_a_failed_job_none_begins) {
  JobQueue queue(plan_, work_, 6);
  const std::size_t failed = queue.rank(plan_.jobs[5]);
  EXPECT_EQ(index_of(queue.take_learning(failed)), 2);
  EXPECT_EQ(index_of(queue.take_learning(failed)), -1);
  for (const std::ptrdiff_t index : {1, 4, -1}) EXPECT_EQ(index_of(queue.take_other(failed)), index);
  EXPECT_EQ(index_of(queue.take_other(0)), -1);
}

}  // namespace
}  // namespace halftone::exec
