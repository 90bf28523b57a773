#pragma once

// Quantization with one scale for each group, a rectangle of `height` rows and `width` columns:
// one reading of the weights finds the scale and makes the codes.

#include <halftone/codec/hd.hpp>

#include "kernels/access.cuh"
#include "kernels/coders.cuh"
#include "kernels/codes.cuh"
#include "kernels/magnitude.cuh"
#include "kernels/reduce.cuh"
#include "runtime/check.hpp"
#include "runtime/shared_memory.hpp"

namespace halftone::cuda {

/// How a weight is cut into groups.  The counts are kept beside the sizes: a division of 64-bit
/// numbers in every thread would take longer than the rest of its work.
struct Groups {
  std::uint64_t rows = 0;  ///< of the weight
  std::uint64_t columns = 0;
  std::uint32_t height = 1;  ///< of a group, in rows
  std::uint64_t width = 0;   ///< of a group, in columns
  std::uint32_t across = 0;  ///< groups side by side
  std::uint32_t count = 0;   ///< groups in all

  /// A weight of no more than 2^31 groups.
  static Groups of(std::uint64_t rows, std::uint64_t columns, std::uint32_t height, std::uint64_t width) {
    if (rows == 0 || columns == 0) return {rows, columns, height, width, 0, 0};
    const std::uint64_t across = (columns + width - 1) / width;
    const std::uint64_t count = (rows + height - 1) / height * across;
    return {rows, columns, height, width, static_cast<std::uint32_t>(across), static_cast<std::uint32_t>(count)};
  }
};

/// Threads of a block, unless a group needs more; one group takes a power of two of them, at least a warp.
constexpr unsigned kGroupThreads = 128;
constexpr unsigned kMostGroupThreads = 1024;
/// Threads double while each would have more chunks than the first, up to kGroupThreads, and then more than the
/// second, up to kMostGroupThreads (measured on an H100: fewer make too little work between two waits).
constexpr unsigned kFewestChunks = 4;
constexpr unsigned kMostChunks = 16;

/// How the threads of a group walk over it: thread t begins at row t / across and chunk t % across
/// and goes on by the steps.
struct Walk {
  unsigned threads = 0;  ///< for each group
  unsigned across = 1;   ///< of which so many lie side by side
  unsigned step_rows = 0;
  unsigned step_chunks = 0;
  unsigned steps = 0;  ///< of each thread, at most
};

/// Steps of a thread that begins in `row` and `column` of a group of which `high` rows and `wide` columns lie
/// inside the weight.
template <int Width>
__device__ unsigned steps_inside(const Walk& walk, unsigned row, unsigned column, unsigned high, unsigned wide) {
  if (row >= high || column >= wide) return 0;
  if (walk.step_chunks == 0) return (high - row - 1) / walk.step_rows + 1;
  return (wide - column - 1) / (walk.step_chunks * Width) + 1;
}

/// The chunks of a group wait in shared memory, chunk k of all threads side by side: registers that held them
/// would leave room for too few threads to keep the memory busy.
template <class Format, class Source, int Width>
__global__ void __launch_bounds__(kMostGroupThreads, 2)
    groups_kernel(const typename Source::Raw* __restrict__ in, Groups groups, Walk walk, std::uint8_t* __restrict__ codes,
                  float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  using Raw = typename Source::Raw;
  using Kept = Chunk<Raw, Width>;
  extern __shared__ uint4 dynamic_shared[];
  __shared__ std::uint32_t of_warps[kMostGroupThreads / 32];
  __shared__ typename Encoder<Format>::Shared shared;
  const unsigned per_block = blockDim.x / walk.threads;
  const unsigned group = blockIdx.x * per_block + threadIdx.x / walk.threads;
  const bool exists = group < groups.count;
  const unsigned thread = threadIdx.x % walk.threads;
  const std::uint64_t top = static_cast<std::uint64_t>(group / groups.across) * groups.height;
  const std::uint64_t left = group % groups.across * groups.width;
  // Rows and elements of the group that lie inside the weight.
  const auto high = exists ? static_cast<unsigned>(min(static_cast<std::uint64_t>(groups.height), groups.rows - top)) : 0U;
  const auto wide = exists ? static_cast<unsigned>(min(groups.width, groups.columns - left)) : 0U;
  const unsigned row = thread / walk.across;
  const unsigned column = thread % walk.across * Width;
  const std::uint64_t first = (top + row) * groups.columns + left + column;
  const std::uint64_t step = walk.step_rows * groups.columns + static_cast<std::uint64_t>(walk.step_chunks) * Width;
  const unsigned steps = steps_inside<Width>(walk, row, column, high, wide);

  Kept* const kept = reinterpret_cast<Kept*>(dynamic_shared) + threadIdx.x;
  const Raw* from = in + first;
  for (unsigned k = 0; k < steps; ++k, from += step) copy_to_shared(kept + k * blockDim.x, from);
  const SharedMax of_weight(largest, thread == 0);  // while the copies are under way
  const Encoder<Format> encode(shared);
  wait_for_copies();
  LargestMagnitude<Source> magnitude;
#pragma unroll 2
  for (unsigned k = 0; k < steps; ++k) magnitude.add(kept[k * blockDim.x]);
  const std::uint32_t found = max_over_threads(magnitude.bits(), walk.threads, of_warps);
  if (!exists) return;
  const auto scale = Format::scale_from_amax(codec::from_bits(found));
  if (thread == 0) {
    scales[group] = scale.stored;
    of_weight.raise(found);
  }
  std::uint8_t* to = codes + code_bytes<Format>(first);
#pragma unroll 2
  for (unsigned k = 0; k < steps; ++k, to += code_bytes<Format>(step)) {
    const Kept chunk = kept[k * blockDim.x];
    std::uint32_t made[Width];
#pragma unroll
    for (int i = 0; i < Width; ++i) made[i] = encode(Source::decode(chunk.items[i]), scale.encode);
    store_chunk(to, packed<Format, Width>(made));
  }
}

constexpr unsigned kLargeGroupThreads = 256;

/// The same for groups of any size, read twice; one block for each.  Where two codes share a byte, rows have an even
/// number of elements.
template <class Format, class Source>
__global__ void __launch_bounds__(kLargeGroupThreads)
    large_groups_kernel(const typename Source::Raw* __restrict__ in, Groups groups, std::uint8_t* __restrict__ codes,
                        float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  constexpr int width = kFewestCodes<Format>;
  __shared__ std::uint32_t of_warps[kLargeGroupThreads / 32];
  __shared__ typename Encoder<Format>::Shared shared;
  const Encoder<Format> encode(shared);
  const unsigned group = blockIdx.x;
  const std::uint64_t top = static_cast<std::uint64_t>(group / groups.across) * groups.height;
  const std::uint64_t left = group % groups.across * groups.width;
  const std::uint64_t bottom = min(top + groups.height, groups.rows);
  const std::uint64_t right = min(left + groups.width, groups.columns);
  LargestMagnitude<Source> magnitude;
  for (std::uint64_t r = top; r < bottom; ++r) {
    for (std::uint64_t c = left + threadIdx.x * width; c < right; c += kLargeGroupThreads * width) {
      magnitude.add(load_elements<typename Source::Raw, width>(in + r * groups.columns, c, right));
    }
  }
  const std::uint32_t found = max_over_threads(magnitude.bits(), kLargeGroupThreads, of_warps);
  const auto scale = Format::scale_from_amax(codec::from_bits(found));
  if (threadIdx.x == 0) {
    scales[group] = scale.stored;
    SharedMax(largest).raise(found);
  }
  for (std::uint64_t r = top; r < bottom; ++r) {
    for (std::uint64_t c = left + threadIdx.x * width; c < right; c += kLargeGroupThreads * width) {
      const auto chunk = load_elements<typename Source::Raw, width>(in + r * groups.columns, c, right);
      std::uint32_t made[width];
#pragma unroll
      for (int i = 0; i < width; ++i) made[i] = encode(Source::decode(chunk.items[i]), scale.encode);
      store_chunk(codes + code_bytes<Format>(r * groups.columns + c), packed<Format, width>(made));
    }
  }
}

/// The walk over groups in chunks of `width` elements; no threads where they cannot share a group evenly.
inline Walk walk_over(const Groups& groups, unsigned width) {
  const std::uint64_t across = (groups.width + width - 1) / width;
  const std::uint64_t chunks = across * groups.height;
  unsigned threads = 32;
  while (threads < kGroupThreads && std::uint64_t{threads} * kFewestChunks < chunks) threads *= 2;
  while (threads < kMostGroupThreads && std::uint64_t{threads} * kMostChunks < chunks) threads *= 2;
  const auto steps = static_cast<unsigned>((chunks + threads - 1) / threads);
  if (groups.height == 1) return {threads, threads, 0, threads, steps};
  if (across > threads || threads % across != 0) return {};
  const auto side_by_side = static_cast<unsigned>(across);
  return {threads, side_by_side, threads / side_by_side, 0, steps};
}

/// False where rows do not begin at chunks or a group does not fit the shared memory of a block.
template <class Format, class Source, int Width>
bool launch_groups_of_width(const typename Source::Raw* in, const Groups& groups, std::uint8_t* codes, float* scales,
                            std::uint32_t* largest, cudaStream_t stream) {
  if (!rows_align<typename Source::Raw, std::uint8_t>(in, codes, groups.columns, Width) || groups.width % Width != 0) return false;
  const Walk walk = walk_over(groups, Width);
  if (walk.threads == 0) return false;
  const unsigned threads = walk.threads > kGroupThreads ? walk.threads : kGroupThreads;
  const std::size_t shared_bytes = std::size_t{walk.steps} * threads * sizeof(typename Source::Raw) * Width;
  constexpr auto kernel = groups_kernel<Format, Source, Width>;
  if (shared_bytes > dynamic_shared_bytes<kernel>()) return false;
  const std::uint64_t per_block = threads / walk.threads;
  const auto blocks = static_cast<unsigned>((std::uint64_t{groups.count} + per_block - 1) / per_block);
  kernel<<<blocks, threads, shared_bytes, stream>>>(in, groups, walk, codes, scales, largest);
  return true;
}

/// Quantizes `in` (rows × columns of `groups`): codes, one scale for each group in row-major order,
/// and *largest raised to the bits of the largest magnitude.
template <class Format, class Source>
void launch_groups(const typename Source::Raw* in, const Groups& groups, std::uint8_t* codes, float* scales, std::uint32_t* largest,
                   cudaStream_t stream) {
  if (groups.rows == 0 || groups.columns == 0) return;
  constexpr int width = kVectorElements<typename Source::Raw>;
  if (!launch_groups_of_width<Format, Source, width>(in, groups, codes, scales, largest, stream) &&
      !launch_groups_of_width<Format, Source, kFewestCodes<Format>>(in, groups, codes, scales, largest, stream)) {
    large_groups_kernel<Format, Source><<<groups.count, kLargeGroupThreads, 0, stream>>>(in, groups, codes, scales, largest);
  }
  check_launch("start a quantization kernel");
}

}  // namespace halftone::cuda
