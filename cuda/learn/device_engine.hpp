#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "learn/engine.hpp"
#include "learn/product_tables.hpp"
#include "runtime/memory_pool.hpp"

namespace halftone::cuda {

/// The engines of one device: what they have opened and reserved stays for the next layer.
class EnginePool {
 public:
  /// Layers that use a device at once: enough that one computes while others are copied.
  static constexpr std::size_t kMost = 4;

  /// `bytes`: device memory for all of them together.  `returned` is called whenever there is room again.
  EnginePool(int device, std::uint64_t bytes, std::function<void()> returned);
  EnginePool(const EnginePool&) = delete;
  EnginePool& operator=(const EnginePool&) = delete;
  ~EnginePool();

  [[nodiscard]] int device() const noexcept { return device_; }
  /// Device memory that the user of one engine may have.
  [[nodiscard]] std::uint64_t bytes() const noexcept;
  /// Engines that are used now.
  [[nodiscard]] std::size_t in_use() const;
  /// Reserves an engine and `bytes` of device memory, or returns false where others use so much, or so many engines, that
  /// there is no room.
  [[nodiscard]] bool reserve(std::uint64_t bytes);
  /// The engine that was reserved with `bytes`.  It goes back to the pool at its end, which must come before that of the
  /// pool.  The device becomes the current one of the thread.  Throws device; the room is then given back.
  [[nodiscard]] std::shared_ptr<learn::Engine> take(std::uint64_t bytes);

 private:
  class DeviceEngine;

  [[nodiscard]] std::unique_ptr<DeviceEngine> find_or_make();
  void give_back(std::unique_ptr<DeviceEngine> engine, std::uint64_t bytes);

  int device_;
  std::uint64_t bytes_;
  std::function<void()> returned_;
  MemoryPool memory_;
  std::size_t in_use_ = 0;
  std::uint64_t bytes_in_use_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<DeviceEngine>> free_;
  bool has_made_one_ = false;
  std::optional<ProductTables> tables_;  ///< until the first engine comes back: no thread goes on behind the layers
};

}  // namespace halftone::cuda
