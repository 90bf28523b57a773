#pragma once

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "learn/device_engine.hpp"

namespace halftone::cuda {

/// The engines of several devices, which may come while others are used.
class EngineSet {
 public:
  /// Adds those of `device`, with `bytes` of its memory for all of them together.
  void add(int device, std::uint64_t bytes);
  /// Says that a device that was to come does not: whoever asks for an engine from now on hears why.
  void give_up(std::exception_ptr why);
  /// Why a device did not come; null where none is missing.
  [[nodiscard]] std::exception_ptr why_given_up() const;

  /// Memory of the first device that the user of one engine may have.  Others may have less: they get smaller layers.
  [[nodiscard]] std::uint64_t bytes() const;
  /// An engine whose user takes `bytes` of device memory at most, of the device with the fewest in use.  Waits while none
  /// has room.  The device becomes the current one of the thread.  Throws device, with both figures where the first device
  /// would never have room.
  [[nodiscard]] std::shared_ptr<learn::Engine> acquire(std::uint64_t bytes);

 private:
  [[nodiscard]] EnginePool* reserve(std::uint64_t bytes);
  void changed();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<EnginePool>> pools_;
  std::exception_ptr given_up_;
};

}  // namespace halftone::cuda
