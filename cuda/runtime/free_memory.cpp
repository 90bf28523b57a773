#include "runtime/free_memory.hpp"

#include <cuda_runtime.h>
#include <fmt/format.h>

namespace halftone::cuda {

std::string free_memory() {
  std::size_t free = 0;
  std::size_t total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
    (void)cudaGetLastError();
    return "how much device memory is free is not known";
  }
  return fmt::format("{} of {} MiB of device memory are free", free >> 20, total >> 20);
}

}  // namespace halftone::cuda
