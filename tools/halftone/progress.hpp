#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include <halftone/run_control.hpp>

namespace halftone::tool {

/// Shows the progress of a run on stderr while it exists: a bar with rate and remaining time on
/// a terminal, a plain line every few seconds otherwise.  Also watches the process's memory.
class Progress {
 public:
  Progress(const RunControl& control, bool visible);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  /// Largest anonymous memory of the process seen so far, in bytes.
  [[nodiscard]] std::uint64_t peak_anonymous_bytes();

 private:
  void loop();
  void show(bool last);
  void say_what_is_foreseen();
  /// Of `remaining` bytes, where this run has written `written`.
  [[nodiscard]] std::string time_left(std::chrono::steady_clock::time_point now, double remaining, double written);
  void sample_memory();

  const RunControl& control_;
  bool visible_;
  bool terminal_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point next_line_;
  std::chrono::steady_clock::time_point rate_begin_ = start_;  ///< when and where the writing began that tells the rate
  double rate_begin_bytes_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool end_ = false;
  bool said_ = false;  ///< what is foreseen
  std::atomic<std::uint64_t> peak_{0};
  std::thread thread_;
};

}  // namespace halftone::tool
