#pragma once

#include "runtime/check.hpp"

namespace halftone::cuda {

/// How many multiprocessors the current device has.  Throws device.
[[nodiscard]] inline unsigned multiprocessors() {
  int device = 0;
  int count = 0;
  check(cudaGetDevice(&device), "ask for the current device");
  check(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device), "ask for the multiprocessors of a device");
  return static_cast<unsigned>(count);
}

}  // namespace halftone::cuda
