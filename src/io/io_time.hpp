#pragma once

#include <chrono>
#include <cstdint>

namespace halftone::io {

/// How long a thread has waited for files, in nanoseconds.
struct IoTime {
  std::uint64_t reading = 0;
  std::uint64_t writing = 0;
};

/// That of the calling thread, since it began.
inline IoTime& io_time() noexcept {
  thread_local IoTime time;
  return time;
}

/// Adds the time of its life to a sum.
class Stopwatch {
 public:
  explicit Stopwatch(std::uint64_t& sum) noexcept : sum_(sum) {}
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch() { sum_ += static_cast<std::uint64_t>(std::chrono::nanoseconds(Clock::now() - begin_).count()); }

 private:
  using Clock = std::chrono::steady_clock;
  std::uint64_t& sum_;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace halftone::io
