#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "learn/engine.hpp"

namespace halftone::cuda {

/// The engines of one device: what they have opened and reserved stays for the next layer.
class EnginePool {
 public:
  explicit EnginePool(int device);
  EnginePool(const EnginePool&) = delete;
  EnginePool& operator=(const EnginePool&) = delete;
  ~EnginePool();

  /// An engine that goes back to the pool at its end, which must come before that of the pool: a free one, a new one, or,
  /// where there are many, the next that comes back.  The device becomes the current one of the thread.  Throws device.
  [[nodiscard]] std::shared_ptr<learn::Engine> acquire();

 private:
  class DeviceEngine;

  [[nodiscard]] std::unique_ptr<DeviceEngine> make();
  void give_back(std::unique_ptr<DeviceEngine> engine);

  int device_;
  std::size_t made_ = 0;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<DeviceEngine>> free_;
};

}  // namespace halftone::cuda
