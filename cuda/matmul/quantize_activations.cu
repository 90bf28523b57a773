#include "matmul/quantize_activations.hpp"

#include "formats/fp8_block/format.hpp"
#include "formats/int8_block/format.hpp"
#include "matmul/requirements.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

/// Elements that a thread has at a time: 16 bytes of them.
constexpr std::uint32_t kVector = 8;
/// Threads that share a run.
constexpr std::uint32_t kRunThreads = kScaleBlock / kVector;

struct Vector {
  uint4 pairs;  ///< BF16, the first in the low half of x

  [[nodiscard]] __device__ float value(std::uint32_t i) const {
    const std::uint32_t pair = i / 2 == 0 ? pairs.x : i / 2 == 1 ? pairs.y : i / 2 == 2 ? pairs.z : pairs.w;
    return __uint_as_float(i % 2 == 0 ? pair << 16 : pair & 0xFFFF'0000U);
  }

  /// The bits of the largest magnitude.  Those of a NaN are larger than all others, so that it is not lost.
  [[nodiscard]] __device__ std::uint32_t largest() const {
    constexpr std::uint32_t kMagnitudes = 0x7FFF'7FFF;
    const std::uint32_t both =
        __vmaxu2(__vmaxu2(pairs.x & kMagnitudes, pairs.y & kMagnitudes), __vmaxu2(pairs.z & kMagnitudes, pairs.w & kMagnitudes));
    return max(both & 0xFFFFU, both >> 16);
  }
};

/// Vector `index` of a row, with zeros beyond its end.
template <bool kAligned>
__device__ Vector load(const Activations& a, std::uint64_t row, std::uint32_t index) {
  const std::uint16_t* const from = a.x + row * a.columns;
  const std::uint64_t first = std::uint64_t{index} * kVector;
  if constexpr (kAligned) {
    return {first < a.columns ? __ldg(reinterpret_cast<const uint4*>(from + first)) : uint4{}};
  } else {
    std::uint32_t pairs[kVector / 2];
#pragma unroll
    for (std::uint32_t i = 0; i < kVector / 2; ++i) {
      const std::uint32_t low = first + 2 * i < a.columns ? from[first + 2 * i] : 0;
      const std::uint32_t high = first + 2 * i + 1 < a.columns ? from[first + 2 * i + 1] : 0;
      pairs[i] = high << 16 | low;
    }
    return {{pairs[0], pairs[1], pairs[2], pairs[3]}};
  }
}

template <class Encode>
__device__ void store(const Activations& a, std::uint64_t row, std::uint32_t index, const Vector& vector, const Encode& encode) {
  const std::uint64_t first = std::uint64_t{index} * kVector;
  if (first >= a.pitch) return;
  std::uint32_t words[2] = {};
#pragma unroll
  for (std::uint32_t i = 0; i < kVector; ++i) {
    const std::uint32_t code = first + i < a.columns ? encode(vector.value(i)) & 0xFFU : 0;
    words[i / 4] |= code << i % 4 * 8;
  }
  *reinterpret_cast<uint2*>(a.codes + row * a.pitch + first) = {words[0], words[1]};
}

__device__ float nan_or(float amax, float scale) { return amax == amax ? scale : amax; }

/// A product that follows may start up while this runs; it waits for the end before it reads.
__device__ void let_next_kernel_begin() {
#if __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();
#endif
}

/// Half a warp for each run.
template <class Format, bool kAligned>
__global__ void quantize_runs(Activations a, std::uint32_t threads_of_row, float* scales) {
  let_next_kernel_begin();
  const std::uint64_t thread = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t row = thread / threads_of_row;
  const auto index = static_cast<std::uint32_t>(thread % threads_of_row);
  const bool inside = row < a.rows;
  const Vector vector = inside ? load<kAligned>(a, row, index) : Vector{};
  std::uint32_t bits = vector.largest();
#pragma unroll
  for (std::uint32_t lanes = kRunThreads / 2; lanes > 0; lanes /= 2) bits = max(bits, __shfl_xor_sync(~0U, bits, lanes));
  if (!inside) return;
  const float amax = __uint_as_float(bits << 16);
  const formats::Scale scale = Format::scale_from_amax(amax);
  if (index % kRunThreads == 0 && std::uint64_t{index} * kVector < a.columns)
    scales[index / kRunThreads * a.rows + row] = nan_or(amax, scale.stored);
  store(a, row, index, vector, [&](float value) { return Format::encode(value, scale.encode); });
}

[[nodiscard]] bool is_aligned(const Activations& a) {
  return a.columns % kVector == 0 && reinterpret_cast<std::uintptr_t>(a.x) % sizeof(uint4) == 0;
}

template <class Format>
void launch_runs(const Activations& a, float* scales, cudaStream_t stream) {
  check_activations(a);
  constexpr std::uint32_t kThreads = 256;
  const auto threads_of_row = static_cast<std::uint32_t>((a.pitch + kScaleBlock - 1) / kScaleBlock * kRunThreads);
  const auto blocks = static_cast<std::uint32_t>((a.rows * threads_of_row + kThreads - 1) / kThreads);
  if (blocks == 0) return;
  const auto kernel = is_aligned(a) ? quantize_runs<Format, true> : quantize_runs<Format, false>;
  kernel<<<blocks, kThreads, 0, stream>>>(a, threads_of_row, scales);
  check_launch("quantize runs of activations");
}

}  // namespace

void launch_quantize_runs_int8(const Activations& a, float* scales, cudaStream_t stream) {
  launch_runs<formats::int8_block::Format>(a, scales, stream);
}

void launch_quantize_runs_fp8(const Activations& a, float* scales, cudaStream_t stream) {
  launch_runs<formats::fp8_block::Format>(a, scales, stream);
}

}  // namespace halftone::cuda
