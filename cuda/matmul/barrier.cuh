#pragma once

// Barriers in shared memory (mbarrier), and those of groups of warps.

#include <cstdint>

namespace halftone::cuda::matmul {

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// A barrier that completes a phase when all arrivals and all announced bytes have come.  A waiter names the parity of the
/// phase; waiting for the parity before the first phase returns at once.
class Barrier {
 public:
  __device__ void initialise(std::uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address()), "r"(arrivals));
  }

  /// One arrival, and `n_bytes` that copies will bring.
  __device__ void arrive_expecting(std::uint32_t n_bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address()), "r"(n_bytes) : "memory");
  }

  __device__ void arrive() { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address()) : "memory"); }

  /// One arrival at the barrier that block `rank` of the cluster has in this place, of a thread that has only read.
  __device__ void arrive_at(std::uint32_t rank) {
    asm volatile(
        "{\n"
        ".reg .b32 there;\n"
        "mapa.shared::cluster.u32 there, %0, %1;\n"
        "mbarrier.arrive.shared::cluster.b64 _, [there];\n"
        "}\n" ::"r"(address()),
        "r"(rank)
        : "memory");
  }

  __device__ void wait(std::uint32_t parity) {
    while (!is_past(parity)) {
    }
  }

  [[nodiscard]] __device__ std::uint32_t address() const { return shared_address(&word_); }

 private:
  __device__ bool is_past(std::uint32_t parity) {
    std::uint32_t past;
    asm volatile(
        "{\n"
        ".reg .pred past;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 past, [%1], %2;\n"
        "selp.b32 %0, 1, 0, past;\n"
        "}\n"
        : "=r"(past)
        : "r"(address()), "r"(parity)
        : "memory");
    return past != 0;
  }

  std::uint64_t word_;
};

/// Makes initialised barriers visible to copies.
__device__ __forceinline__ void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

/// Waits for the `threads` threads that use barrier `id` of the block, 1 to 15.
__device__ __forceinline__ void sync_group(std::uint32_t id, std::uint32_t threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// The place of this block in its cluster.
[[nodiscard]] __device__ __forceinline__ std::uint32_t rank_in_cluster() {
  std::uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// Waits for every thread of the cluster.
__device__ __forceinline__ void sync_cluster() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}

}  // namespace halftone::cuda::matmul
