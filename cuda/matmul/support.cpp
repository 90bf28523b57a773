#include "matmul/support.hpp"

#include <string_view>

#include "base/fail.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

struct Capability {
  int major = 0;
  int minor = 0;
};

Capability capability_of_current_device() {
  int device = 0;
  Capability found;
  check(cudaGetDevice(&device), "ask for the current device");
  check(cudaDeviceGetAttribute(&found.major, cudaDevAttrComputeCapabilityMajor, device), "ask for a compute capability");
  check(cudaDeviceGetAttribute(&found.minor, cudaDevAttrComputeCapabilityMinor, device), "ask for a compute capability");
  return found;
}

/// The kernels use instructions that only the variant 90a has.
constexpr bool kBuilt = std::string_view(HALFTONE_CUDA_ARCHITECTURES).find("90a") != std::string_view::npos;

}  // namespace

bool has_hopper_products() {
  const Capability found = capability_of_current_device();
  return kBuilt && found.major == 9 && found.minor == 0;
}

void require_hopper_products() {
  if (has_hopper_products()) return;
  const Capability found = capability_of_current_device();
  fail(ErrorKind::unsupported,
       "this product needs a GPU of compute capability 9.0 and code for 90a; the GPU has {}.{}, and the program was built for '{}'",
       found.major, found.minor, HALFTONE_CUDA_ARCHITECTURES);
}

}  // namespace halftone::cuda
