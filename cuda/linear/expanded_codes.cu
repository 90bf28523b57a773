#include "linear/expanded_codes.hpp"

#include <halftone/codec/integer.hpp>

#include "formats/w4a8/format.hpp"
#include "kernels/access.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

using W4a8 = formats::w4a8::Format;

constexpr unsigned kThreads = 256;
/// Codes that a thread expands, at least.
constexpr unsigned kCodes = 8;

__global__ void __launch_bounds__(kThreads) expand_numbers_kernel(PackedCodes packed, std::int8_t* __restrict__ out) {
  const std::uint64_t first = (static_cast<std::uint64_t>(blockIdx.x) * kThreads + threadIdx.x) * kCodes;
  for (std::uint64_t i = first; i < min(first + kCodes, packed.n); ++i) {
    const std::uint8_t code = packed.codes[i / 2] >> (i % 2 * 4);
    out[i] = static_cast<std::int8_t>(codec::Int4::decode(code));
  }
}

__global__ void __launch_bounds__(kThreads) expand_levels_kernel(PackedCodes packed, std::int8_t* __restrict__ out) {
  __shared__ float levels[16];
  if (threadIdx.x < 16) levels[threadIdx.x] = W4a8::level(threadIdx.x);
  __syncthreads();
  const std::uint64_t first = (static_cast<std::uint64_t>(blockIdx.x) * kThreads + threadIdx.x) * kCodes;
  for (std::uint64_t i = first; i < min(first + kCodes, packed.n); ++i) {
    const float scale = W4a8::decode_operand(packed.scales[i / packed.group_size], 1.0F);
    const unsigned code = packed.codes[i / 2] >> (i % 2 * 4) & 15U;
    out[i] = static_cast<std::int8_t>(W4a8::decode_level(levels[code], scale));
  }
}

}  // namespace

void launch_expanded(const PackedCodes& packed, std::int8_t* out, cudaStream_t stream) {
  if (packed.n == 0) return;
  constexpr std::uint64_t per_block = std::uint64_t{kThreads} * kCodes;
  const auto blocks = static_cast<unsigned>((packed.n + per_block - 1) / per_block);
  if (packed.scales == nullptr) {
    expand_numbers_kernel<<<blocks, kThreads, 0, stream>>>(packed, out);
  } else {
    expand_levels_kernel<<<blocks, kThreads, 0, stream>>>(packed, out);
  }
  check_launch("start a kernel that expands codes");
}

}  // namespace halftone::cuda
