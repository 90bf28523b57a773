#include "matmul/requirements.hpp"

#include <limits>
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

[[nodiscard]] bool is_aligned(const void* data) { return reinterpret_cast<std::uintptr_t>(data) % kCodeAlignment == 0; }

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

void check_product(const MatmulShape& shape, const void* x, const void* w, std::uint64_t longest_row) {
  require_hopper_products();
  constexpr std::uint64_t kMostRows = std::numeric_limits<std::int32_t>::max();
  if (shape.m > kMostRows || shape.n > kMostRows) {
    fail(ErrorKind::unsupported, "a product on the GPU has at most {} rows and columns; found {} and {}", kMostRows, shape.m, shape.n);
  }
  if (shape.k == 0 || shape.k % kCodeAlignment != 0 || shape.k > longest_row) {
    fail(ErrorKind::unsupported, "a product of codes on the GPU needs rows of a multiple of {} elements, at most {}; found {}",
         kCodeAlignment, longest_row, shape.k);
  }
  if (!is_aligned(x) || !is_aligned(w)) {
    fail(ErrorKind::unsupported, "a product of codes on the GPU needs matrices that are aligned to {} bytes", kCodeAlignment);
  }
}

void check_activations(const Activations& a) {
  if (a.pitch % kCodeAlignment != 0 || a.pitch < a.columns) {
    fail(ErrorKind::unsupported, "codes of activations need rows of a multiple of {} bytes, at least {}; found {}", kCodeAlignment,
         a.columns, a.pitch);
  }
  if (!is_aligned(a.codes)) fail(ErrorKind::unsupported, "codes of activations need to be aligned to {} bytes", kCodeAlignment);
}

}  // namespace halftone::cuda
