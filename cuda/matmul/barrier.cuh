#pragma once

// Barriers in shared memory (mbarrier), and those of clusters and groups of warps.

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

  /// Arrives at the barrier at the same place in block `rank` of the cluster.
  __device__ void arrive_at(std::uint32_t rank) {
    asm volatile(
        "{\n"
        ".reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n"
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

/// Makes initialised barriers visible to copies and to the other blocks of the cluster.
__device__ __forceinline__ void publish_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

/// Waits for every thread of the cluster, and sees what they wrote.
__device__ __forceinline__ void sync_cluster() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ std::uint32_t rank_in_cluster() {
  std::uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

/// Waits for the `threads` threads that use barrier `id` of the block, 1 to 15.
__device__ __forceinline__ void sync_group(std::uint32_t id, std::uint32_t threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// Arrives there without waiting.
__device__ __forceinline__ void arrive_group(std::uint32_t id, std::uint32_t threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace halftone::cuda::matmul
