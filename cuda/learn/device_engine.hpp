#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "learn/engine.hpp"
#include "runtime/memory_pool.hpp"

namespace halftone::cuda {

/// The engines of one device: what they have opened and reserved stays for the next layer.
class EnginePool {
 public:
  /// `bytes`: device memory for all of them together.
  EnginePool(int device, std::uint64_t bytes);
  EnginePool(const EnginePool&) = delete;
  EnginePool& operator=(const EnginePool&) = delete;
  ~EnginePool();

  /// Device memory that the user of one engine may have.
  [[nodiscard]] std::uint64_t bytes() const noexcept;
  /// An engine whose user takes `bytes` of device memory at most.  It goes back to the pool at its end, which must come
  /// before that of the pool.  Waits while others use so much, or so many engines, that there is no room.  The device
  /// becomes the current one of the thread.  Throws device, with both figures where it would never have room.
  [[nodiscard]] std::shared_ptr<learn::Engine> acquire(std::uint64_t bytes);

 private:
  class DeviceEngine;

  [[nodiscard]] std::unique_ptr<DeviceEngine> make(std::uint64_t bytes);
  void give_back(std::unique_ptr<DeviceEngine> engine, std::uint64_t bytes);

  int device_;
  std::uint64_t bytes_;
  MemoryPool memory_;
  std::size_t in_use_ = 0;
  std::uint64_t bytes_in_use_ = 0;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<DeviceEngine>> free_;
};

}  // namespace halftone::cuda
