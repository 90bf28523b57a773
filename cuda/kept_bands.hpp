#pragma once

// Bands of weights that stay on a device between their measuring and their quantizing.

#include <atomic>
#include <mutex>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/error.hpp>

#include "lane.hpp"

namespace halftone::cuda {

/// Bytes of device memory that a backend may still take.
class Budget {
 public:
  explicit Budget(std::uint64_t n_bytes) : left_(n_bytes) {}
  [[nodiscard]] bool take(std::uint64_t n_bytes) {
    std::uint64_t left = left_.load();
    while (left >= n_bytes) {
      if (left_.compare_exchange_weak(left, left - n_bytes)) return true;
    }
    return false;
  }
  void give_back(std::uint64_t n_bytes) { left_ += n_bytes; }

 private:
  std::atomic<std::uint64_t> left_;
};

/// Device buffers that wait for their next use.  Whoever gives one back has waited for the work on it.
class BufferStore {
 public:
  /// A stored buffer of exactly `n_bytes`, or an empty one.
  [[nodiscard]] DeviceBuffer take(std::uint64_t n_bytes) {
    const std::lock_guard lock(mutex_);
    for (DeviceBuffer& buffer : free_) {
      if (buffer.size() != n_bytes) continue;
      std::swap(buffer, free_.back());
      DeviceBuffer found = std::move(free_.back());
      free_.pop_back();
      return found;
    }
    return {};
  }
  void give_back(DeviceBuffer buffer) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(buffer));
  }
  /// Frees what is stored and returns how much that was, in bytes.
  std::uint64_t clear() {
    const std::lock_guard lock(mutex_);
    std::uint64_t n_bytes = 0;
    for (const DeviceBuffer& buffer : free_) n_bytes += buffer.size();
    free_.clear();
    return n_bytes;
  }

 private:
  std::mutex mutex_;
  std::vector<DeviceBuffer> free_;
};

/// One device: its lanes, and what may be kept there.
struct Place {
  /// `keep_bytes`: for bands that are kept.
  Place(int device, std::size_t lanes, std::uint64_t keep_bytes) : pool(device, lanes), budget(keep_bytes) {}

  /// Memory for a band, or an empty buffer where the budget or the device has no more.
  [[nodiscard]] DeviceBuffer make_buffer(std::uint64_t n_bytes, const Lane& lane) {
    if (DeviceBuffer stored = store.take(n_bytes); stored.size() != 0) return stored;
    if (!budget.take(n_bytes)) {
      budget.give_back(store.clear());
      if (!budget.take(n_bytes)) return {};
    }
    try {
      return {n_bytes, lane.stream.get()};
    } catch (const Error&) {
      budget.give_back(n_bytes);
      return {};
    }
  }

  LanePool pool;
  Budget budget;
  BufferStore store;
};

/// A band in device memory.
class DeviceBand : public KeptBand {
 public:
  DeviceBand(Place& place, DeviceBuffer buffer) : place_(place), buffer_(std::move(buffer)) {}
  DeviceBand(const DeviceBand&) = delete;
  DeviceBand& operator=(const DeviceBand&) = delete;
  ~DeviceBand() override { place_.store.give_back(std::move(buffer_)); }

  [[nodiscard]] Place& place() const noexcept { return place_; }
  [[nodiscard]] const std::byte* data() const noexcept { return buffer_.data(); }

 private:
  Place& place_;
  DeviceBuffer buffer_;
};

}  // namespace halftone::cuda
