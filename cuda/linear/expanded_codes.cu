#include "linear/expanded_codes.hpp"

#include <halftone/codec/integer.hpp>

#include "formats/w4a8/format.hpp"
#include "kernels/access.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

using W4a8 = formats::w4a8::Format;

constexpr unsigned kThreads = 256;
/// Codes that a thread expands: a word of them.
constexpr unsigned kCodes = 8;

/// `Levels`: codes are those of w4a8, else numbers.
template <bool Levels>
__global__ void __launch_bounds__(kThreads) expand_kernel(PackedCodes packed, std::int8_t* __restrict__ out) {
  __shared__ float levels[16];
  if (Levels && threadIdx.x < 16) levels[threadIdx.x] = W4a8::level(threadIdx.x);
  __syncthreads();
  const std::uint64_t first = (static_cast<std::uint64_t>(blockIdx.x) * kThreads + threadIdx.x) * kCodes;
  if (first >= packed.n) return;
  const auto word = *reinterpret_cast<const std::uint32_t*>(packed.codes + first / 2);
  const bool one_scale = packed.group_size % kCodes == 0;
  float scale = Levels && one_scale ? W4a8::decode_operand(packed.scales[first / packed.group_size], 1.0F) : 1.0F;
  Chunk<std::int8_t, kCodes> made;
#pragma unroll
  for (unsigned i = 0; i < kCodes; ++i) {
    const unsigned code = word >> (4 * i) & 15U;
    if constexpr (Levels) {
      if (!one_scale) scale = W4a8::decode_operand(packed.scales[(first + i) / packed.group_size], 1.0F);
      made.items[i] = static_cast<std::int8_t>(W4a8::decode_level(levels[code], scale));
    } else {
      made.items[i] = static_cast<std::int8_t>(codec::Int4::decode(static_cast<std::uint8_t>(code)));
    }
  }
  *reinterpret_cast<Chunk<std::int8_t, kCodes>*>(out + first) = made;
}

}  // namespace

void launch_expanded(const PackedCodes& packed, std::int8_t* out, cudaStream_t stream) {
  if (packed.n == 0) return;
  constexpr std::uint64_t per_block = std::uint64_t{kThreads} * kCodes;
  const auto blocks = static_cast<unsigned>((packed.n + per_block - 1) / per_block);
  if (packed.scales == nullptr) {
    expand_kernel<false><<<blocks, kThreads, 0, stream>>>(packed, out);
  } else {
    expand_kernel<true><<<blocks, kThreads, 0, stream>>>(packed, out);
  }
  check_launch("start a kernel that expands codes");
}

}  // namespace halftone::cuda
