#include "base/parallel.hpp"

#include <stdexcept>

#include <gmock/gmock.h>

namespace halftone::base {
namespace {

TEST(ParallelFor, Every_index_is_worked_on_once) {
  for (const unsigned threads : {0U, 1U, 3U, 16U}) {
    std::vector<std::atomic<int>> calls(100);
    parallel_for(calls.size(), threads, [&](std::size_t i) { ++calls[i]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1) << threads << " threads";
  }
}

TEST(ParallelFor, No_work_calls_nothing) {
  parallel_for(0, 4, [](std::size_t) { FAIL(); });
}

TEST(ParallelFor, Error_reaches_the_caller) {
  for (const unsigned threads : {1U, 4U}) {
    const auto work = [&] {
      parallel_for(50, threads, [](std::size_t i) {
        if (i == 20) throw std::runtime_error("index 20");
      });
    };
    EXPECT_THAT(work, testing::ThrowsMessage<std::runtime_error>("index 20")) << threads << " threads";
  }
}

TEST(ParallelFor, Error_ends_the_work_early) {
  std::atomic<int> calls{0};
  const auto work = [&](std::size_t) {
    ++calls;
    throw std::runtime_error("at once");
  };
  EXPECT_THROW(parallel_for(1'000'000, 4, work), std::runtime_error);
  EXPECT_LE(calls, 4);
}

TEST(ParallelFor, All_threads_fail_and_one_error_is_thrown) {
  const auto work = [](std::size_t i) { throw std::runtime_error("index " + std::to_string(i)); };
  EXPECT_THROW(parallel_for(8, 8, work), std::runtime_error);
}

}  // namespace
}  // namespace halftone::base
