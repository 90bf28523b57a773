#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <mutex>

#include "runtime/event.hpp"

namespace halftone::cuda {

/// Which of two ways to the same product is faster, found out once in the life of the process for each device and shape.
class Fastest {
 public:
  using Shape = std::array<std::uint64_t, 4>;  ///< device, m, n, k

  /// Whether `first` beats `second`; each puts the product into `stream`, or returns false where it cannot.
  template <class First, class Second>
  [[nodiscard]] bool first(const Shape& shape, cudaStream_t stream, const First& first, const Second& second) {
    const std::lock_guard lock(mutex_);
    const auto known = first_.find(shape);
    if (known != first_.end()) return known->second;
    return first_.emplace(shape, time(stream, first) < time(stream, second)).first->second;
  }

 private:
  /// Seconds, the least of some; infinite where it cannot be.
  template <class Work>
  [[nodiscard]] static double time(cudaStream_t stream, const Work& work) {
    if (!work()) return std::numeric_limits<double>::infinity();
    Event begin;
    Event end;
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < kRuns; ++i) {
      begin.record(stream);
      for (int k = 0; k < kProducts; ++k) (void)work();
      end.record(stream);
      end.synchronize();
      least = std::min(least, end.seconds_since(begin));
    }
    return least;
  }

  static constexpr int kRuns = 4;
  static constexpr int kProducts = 4;  ///< of a run

  std::mutex mutex_;
  std::map<Shape, bool> first_;
};

}  // namespace halftone::cuda
