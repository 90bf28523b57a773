#pragma once

#include <utility>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// A stream of the current device.  It waits for no other stream and none waits for it.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "create a stream"); }
  Stream(Stream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  Stream& operator=(Stream&&) = delete;
  ~Stream() {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  [[nodiscard]] cudaStream_t get() const noexcept { return stream_; }
  /// Blocks until all work of the stream is done.
  void synchronize() const { check(cudaStreamSynchronize(stream_), "finish the work of a stream"); }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace halftone::cuda
