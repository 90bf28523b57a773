#include "matmul/requirements.hpp"

#include <limits>

#include "base/fail.hpp"
#include "matmul/support.hpp"

namespace halftone::cuda::matmul {
namespace {

[[nodiscard]] bool is_aligned(const void* data) { return reinterpret_cast<std::uintptr_t>(data) % kCodeAlignment == 0; }

}  // namespace

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

}  // namespace halftone::cuda::matmul
