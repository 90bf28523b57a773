#pragma once

// The rotation of rows (formats/rotation.hpp) for any size of group: through shared memory, one block for some groups.

#include <halftone/codec/hd.hpp>

#include "formats/rotation.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {

constexpr unsigned kRotateThreads = 256;

/// Rotates groups of `size` elements, each by a team of threads; `in` and `out` may be the same.
template <class Source>
__global__ void __launch_bounds__(kRotateThreads)
    rotate_kernel(const typename Source::Raw* in, std::uint64_t groups, std::uint32_t size, float* out) {
  __shared__ float values[formats::kMostRotationGroup];
  const std::uint32_t per_block = formats::kMostRotationGroup / size;
  const std::uint64_t first = static_cast<std::uint64_t>(blockIdx.x) * per_block;
  const auto n = static_cast<std::uint32_t>(min(static_cast<std::uint64_t>(per_block), groups - first)) * size;
  for (std::uint32_t i = threadIdx.x; i < n; i += kRotateThreads) values[i] = Source::decode(in[first * size + i]);
  for (std::uint32_t stride = 1; stride < size; stride *= 4) {
    __syncthreads();
    for (std::uint32_t quad = threadIdx.x; quad < n / 4; quad += kRotateThreads) {
      float* at = values + quad / stride * stride * 4 + quad % stride;
      float four[4] = {at[0], at[stride], at[2 * stride], at[3 * stride]};
      formats::rotate_four<1>(four);
#pragma unroll
      for (std::uint32_t i = 0; i < 4; ++i) at[i * stride] = four[i];
    }
  }
  __syncthreads();
  for (std::uint32_t i = threadIdx.x; i < n; i += kRotateThreads) out[first * size + i] = values[i];
}

/// Rotates `n` elements in groups of `size`, for which formats::is_rotation_group(); `n` is a multiple of it.
template <class Source>
void launch_rotate(const typename Source::Raw* in, std::uint64_t n, std::uint32_t size, float* out, cudaStream_t stream) {
  if (n == 0) return;
  const std::uint64_t groups = n / size;
  const std::uint64_t per_block = formats::kMostRotationGroup / size;
  rotate_kernel<Source><<<static_cast<unsigned>((groups + per_block - 1) / per_block), kRotateThreads, 0, stream>>>(in, groups, size, out);
  check_launch("start a rotation kernel");
}

}  // namespace halftone::cuda
