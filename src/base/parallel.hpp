#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace halftone::base {

/// Runs `work` on up to `threads` threads, the calling one among them, and waits for all.  Goes on
/// with fewer where the system gives no more.  `work` must not throw.
template <class Work>
void run_on_threads(unsigned threads, const Work& work) {
  std::vector<std::thread> pool;
  try {
    for (unsigned i = 1; i < threads; ++i) pool.emplace_back(work);
  } catch (const std::system_error&) {
    // Those that started share the work.
  }
  work();
  for (std::thread& thread : pool) thread.join();
}

/// Calls work(i) for every i below `n` on up to `threads` threads; rethrows the first error.
template <class Work>
void parallel_for(std::size_t n, unsigned threads, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr error;
  std::mutex mutex;
  const auto loop = [&] {
    try {
      for (std::size_t i = next++; i < n; i = next++) work(i);
    } catch (...) {
      next = n;
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  run_on_threads(static_cast<unsigned>(std::min<std::size_t>(threads, n)), loop);
  if (error) std::rethrow_exception(error);
}

}  // namespace halftone::base
