#include "runtime/check.hpp"

#include "base/fail.hpp"

namespace halftone::cuda {

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();  // or the next launch would report this error once more
  fail(ErrorKind::device, "CUDA failed to {}: {} ({})", what, cudaGetErrorString(status), cudaGetErrorName(status));
}

void check_allocation(cudaError_t status, std::size_t n_bytes, const char* what) {
  if (status == cudaSuccess) return;
  (void)cudaGetLastError();
  fail(ErrorKind::device, "CUDA failed to allocate {} bytes of {}: {} ({})", n_bytes, what, cudaGetErrorString(status),
       cudaGetErrorName(status));
}

}  // namespace halftone::cuda
