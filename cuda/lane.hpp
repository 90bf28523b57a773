#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/device_buffer.hpp"
#include "runtime/pinned_buffer.hpp"
#include "runtime/stream.hpp"

namespace halftone::cuda {

/// Bytes of weights that pass through a lane at once, unless a single row of groups is larger.
constexpr std::size_t kTileBytes = 4 << 20;

/// One way through a device: a stream, and buffers on both sides of the copy engines.  One thread
/// uses it at a time.
struct Lane {
  explicit Lane(int ordinal) : device(ordinal) {}

  int device;
  Stream stream;
  PinnedBuffer host_in;
  PinnedBuffer host_out;
  DeviceBuffer device_in;
  DeviceBuffer device_out;

  /// Makes every buffer at least so large; the contents are lost.  Throws device.
  void reserve(std::size_t in_bytes, std::size_t out_bytes) { reserve(in_bytes, out_bytes, {in_bytes, out_bytes}); }
  /// The same where the device's buffers have other sizes than the host's.
  struct OnDevice {
    std::size_t in_bytes;
    std::size_t out_bytes;
  };
  void reserve(std::size_t in_bytes, std::size_t out_bytes, const OnDevice& on_device);
};

/// The lanes of one device.
class LanePool {
 public:
  LanePool(int device, std::size_t most) : device_(device), most_(most) {}

  /// A lane on loan.
  class Lease {
   public:
    Lease(LanePool& pool, std::unique_ptr<Lane> lane) : pool_(&pool), lane_(std::move(lane)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (lane_) pool_->give_back(std::move(lane_));
    }
    [[nodiscard]] Lane& operator*() const noexcept { return *lane_; }
    [[nodiscard]] Lane* operator->() const noexcept { return lane_.get(); }

   private:
    LanePool* pool_;
    std::unique_ptr<Lane> lane_;
  };

  /// A free lane, a new one, or, where there are `most` already, the next that comes back.  Makes
  /// the device the current one of the thread.
  [[nodiscard]] Lease acquire();
  [[nodiscard]] int device() const noexcept { return device_; }

 private:
  void give_back(std::unique_ptr<Lane> lane);

  int device_;
  std::size_t most_;
  std::size_t made_ = 0;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Lane>> free_;
};

}  // namespace halftone::cuda
