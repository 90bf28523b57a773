#pragma once

#include <cstddef>
#include <utility>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// Memory of the current device from its pool, ordered in a stream: it may be used by work that
/// is put into `stream` after it was made, and is given back when the work before its end is done.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(std::size_t n_bytes, cudaStream_t stream) : n_bytes_(n_bytes), stream_(stream) {
    if (n_bytes > 0) check_allocation(cudaMallocAsync(&data_, n_bytes, stream), n_bytes, "device memory");
  }
  /// From a pool of its own.
  DeviceBuffer(std::size_t n_bytes, cudaStream_t stream, cudaMemPool_t pool) : n_bytes_(n_bytes), stream_(stream) {
    if (n_bytes > 0) check_allocation(cudaMallocFromPoolAsync(&data_, n_bytes, pool, stream), n_bytes, "device memory");
  }
  DeviceBuffer(DeviceBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), n_bytes_(std::exchange(other.n_bytes_, 0)), stream_(other.stream_) {}
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(n_bytes_, other.n_bytes_);
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) cudaFreeAsync(data_, stream_);
  }

  /// Aligned to 256 bytes.
  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  [[nodiscard]] std::size_t size() const noexcept { return n_bytes_; }
  template <class T>
  [[nodiscard]] T* as() const noexcept {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  std::size_t n_bytes_ = 0;
  cudaStream_t stream_ = nullptr;
};

}  // namespace halftone::cuda
