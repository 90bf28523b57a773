#pragma once

#include <cstddef>
#include <utility>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// Page-locked host memory, which the copy engines read and write directly.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(std::size_t n_bytes) : n_bytes_(n_bytes) {
    if (n_bytes > 0) check_allocation(cudaHostAlloc(&data_, n_bytes, cudaHostAllocPortable), n_bytes, "page-locked host memory");
  }
  PinnedBuffer(PinnedBuffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), n_bytes_(std::exchange(other.n_bytes_, 0)) {}
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(n_bytes_, other.n_bytes_);
    return *this;
  }
  ~PinnedBuffer() {
    if (data_ != nullptr) cudaFreeHost(data_);
  }

  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(data_); }
  [[nodiscard]] std::size_t size() const noexcept { return n_bytes_; }
  template <class T>
  [[nodiscard]] T* as() const noexcept {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  std::size_t n_bytes_ = 0;
};

}  // namespace halftone::cuda
