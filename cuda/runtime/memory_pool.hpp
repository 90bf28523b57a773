#pragma once

#include <cstdint>

#include "runtime/check.hpp"

namespace halftone::cuda {

/// Device memory that stays reserved when it is given back, for whoever takes it next.  It is a pool of its own: that of
/// the process is left as it is.
class MemoryPool {
 public:
  explicit MemoryPool(int device) {
    cudaMemPoolProps properties{};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = device;
    check(cudaMemPoolCreate(&pool_, &properties), "make a pool of device memory");
    std::uint64_t everything = ~std::uint64_t{0};
    check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &everything), "keep device memory");
  }
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;
  ~MemoryPool() { cudaMemPoolDestroy(pool_); }

  [[nodiscard]] cudaMemPool_t get() const noexcept { return pool_; }

 private:
  cudaMemPool_t pool_ = nullptr;
};

}  // namespace halftone::cuda
