#pragma once

#include <cstdint>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// A fact of the current device.  Throws device.
[[nodiscard]] inline int device_fact(cudaDeviceAttr attribute) {
  int device = 0;
  int value = 0;
  check(cudaGetDevice(&device), "ask for the current device");
  check(cudaDeviceGetAttribute(&value, attribute, device), "ask for a fact of a device");
  return value;
}

[[nodiscard]] inline unsigned multiprocessors() { return static_cast<unsigned>(device_fact(cudaDevAttrMultiProcessorCount)); }

/// Of the second-level cache.
[[nodiscard]] inline std::uint64_t cache_bytes() { return static_cast<std::uint64_t>(device_fact(cudaDevAttrL2CacheSize)); }

}  // namespace halftone::cuda
