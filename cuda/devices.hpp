#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kept_bands.hpp"
#include "learn/engine_set.hpp"

namespace halftone::cuda {

/// The devices of a backend.  All bands pass through the first: they wait for storage and for the memory of the host, which
/// a second device does not make faster.  The others have engines only.  The second starts beside the first, which takes less
/// time than one after the other, and the rest while these work: starting one holds up the calls for all others.
class Devices {
 public:
  /// `ordinals`: at least one.  `product`: what the first one is.  `memory`: bytes of each that may be used; 0 for most of what
  /// is free.  Throws device where the first cannot be started; another one that cannot ends the run that asks for engines.
  Devices(std::vector<int> ordinals, std::string product, std::uint64_t memory);
  Devices(const Devices&) = delete;
  Devices& operator=(const Devices&) = delete;
  ~Devices();

  [[nodiscard]] Place& first() const noexcept { return *first_; }
  [[nodiscard]] EngineSet& engines() noexcept { return engines_; }
  [[nodiscard]] const EngineSet& engines() const noexcept { return engines_; }

  [[nodiscard]] std::size_t count() const noexcept { return ordinals_.size(); }
  /// "cuda:0, 1 (NVIDIA H100)"
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// What the first one is.
  [[nodiscard]] const std::string& product() const noexcept { return product_; }
  /// A sentence on one that did not start; empty where none failed.
  [[nodiscard]] std::string failed() const;

 private:
  void start_first();
  void end_first();
  void start_others();
  void stop_starting();

  std::vector<int> ordinals_;
  std::uint64_t memory_;
  std::string product_;
  std::string name_;
  std::unique_ptr<Place> first_;
  EngineSet engines_;
  std::atomic<bool> first_is_done_ = false;  ///< starting: its engines come before those of others
  std::atomic<bool> ends_ = false;
  std::thread starting_;
};

}  // namespace halftone::cuda
