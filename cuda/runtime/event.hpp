#pragma once

#include <chrono>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// A point in a stream, with its time.
class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "create an event"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }

  [[nodiscard]] cudaEvent_t get() const noexcept { return event_; }
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "record an event"); }
  /// Blocks until the stream has passed the event.
  void synchronize() const { check(cudaEventSynchronize(event_), "wait for an event"); }
  /// Waits awake for as long as `patience`, then as synchronize() does.
  void spin(std::chrono::microseconds patience) const {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (std::chrono::steady_clock::now() < end) {
      const cudaError_t status = cudaEventQuery(event_);
      if (status == cudaSuccess) return;
      if (status != cudaErrorNotReady) check(status, "wait for an event");
    }
    synchronize();
  }
  /// Seconds from `earlier` to this event; both must have been passed.
  [[nodiscard]] double seconds_since(const Event& earlier) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, earlier.event_, event_), "measure time");
    return milliseconds * 1e-3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace halftone::cuda
