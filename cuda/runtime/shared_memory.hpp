#pragma once

#include <array>
#include <atomic>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// How much shared memory a launch of `Kernel` may ask for on the current device, in bytes; the first call on a
/// device raises it to all that there is.  Any thread may call it.  Throws device.
///
/// `Carveout` is how much of the memory that shared memory and the first-level cache have in common the kernel prefers for the
/// former; cudaSharedmemCarveoutDefault leaves the cache what the blocks do not need.
template <auto Kernel, int Carveout = cudaSharedmemCarveoutMaxShared>
[[nodiscard]] std::size_t dynamic_shared_bytes() {
  static std::array<std::atomic<int>, 64> known{};  // more devices than a host has; those beyond ask each time
  int device = 0;
  check(cudaGetDevice(&device), "ask for the current device");
  const auto place = static_cast<std::size_t>(device);
  if (place < known.size() && known[place] != 0) return static_cast<std::size_t>(known[place].load());
  int most = 0;
  cudaFuncAttributes attributes{};
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "ask for the shared memory of a device");
  check(cudaFuncGetAttributes(&attributes, Kernel), "ask for the attributes of a kernel");
  most -= static_cast<int>(attributes.sharedSizeBytes);
  check(cudaFuncSetAttribute(Kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most), "give a kernel shared memory");
  check(cudaFuncSetAttribute(Kernel, cudaFuncAttributePreferredSharedMemoryCarveout, Carveout), "give a kernel shared memory");
  if (place < known.size()) known[place] = most;
  return static_cast<std::size_t>(most);
}

}  // namespace halftone::cuda
