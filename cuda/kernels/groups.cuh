#pragma once

// Quantization with one scale for each group, a rectangle of `height` rows and `width` columns:
// one reading of the weights finds the scale and makes the codes.

#include <halftone/codec/hd.hpp>

#include "kernels/access.cuh"
#include "kernels/magnitude.cuh"
#include "kernels/reduce.cuh"
#include "runtime/check.hpp"

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
constexpr unsigned kGroupThreads = 256;
constexpr unsigned kMostGroupThreads = 1024;
/// Chunks of a group that one thread keeps in registers, at most.
constexpr int kMostChunks = 8;

/// How the threads of a group walk over it: thread t begins at row t / across and chunk t % across
/// and goes on by the steps.
struct Walk {
  unsigned threads = 0;  ///< for each group; 0 where the registers of a block do not hold a group
  unsigned across = 1;   ///< of which so many lie side by side
  unsigned step_rows = 0;
  unsigned step_chunks = 0;
  unsigned steps = 0;  ///< of each thread
};

template <class Format, class Source, int Width, int Steps>
__global__ void __launch_bounds__(Steps > 4 ? kMostGroupThreads : 2 * kGroupThreads, Steps > 4 ? 1 : 3)
    groups_kernel(const typename Source::Raw* __restrict__ in, Groups groups, Walk walk, std::uint8_t* __restrict__ codes,
                  float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  using Raw = typename Source::Raw;
  __shared__ std::uint32_t shared[kMostGroupThreads / 32];
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
  const auto inside = [&](int k) {
    const auto n = static_cast<unsigned>(k);
    return row + n * walk.step_rows < high && column + n * walk.step_chunks * Width < wide;
  };

  Chunk<Raw, Width> kept[Steps];
#pragma unroll
  for (int k = 0; k < Steps; ++k) {
    if (inside(k)) kept[k] = load_chunk<Raw, Width>(in + first + static_cast<unsigned>(k) * step);
  }
  LargestMagnitude<Source> magnitude;
#pragma unroll
  for (int k = 0; k < Steps; ++k) {
    if (inside(k)) magnitude.add(kept[k]);
  }
  const std::uint32_t found = max_over_threads(magnitude.bits(), walk.threads, shared);
  if (!exists) return;
  const auto scale = Format::scale_from_amax(codec::from_bits(found));
  if (thread == 0) {
    scales[group] = scale.stored;
    raise(largest, found);
  }
#pragma unroll
  for (int k = 0; k < Steps; ++k) {
    if (!inside(k)) continue;
    Chunk<std::uint8_t, Width> made;
#pragma unroll
    for (int i = 0; i < Width; ++i) {
      made.items[i] = static_cast<std::uint8_t>(Format::encode(Source::decode(kept[k].items[i]), scale.encode));
    }
    store_chunk<std::uint8_t, Width>(codes + first + static_cast<unsigned>(k) * step, made);
  }
}

/// The same for groups of any size, read twice; one block for each.
template <class Format, class Source>
__global__ void __launch_bounds__(kGroupThreads)
    large_groups_kernel(const typename Source::Raw* __restrict__ in, Groups groups, std::uint8_t* __restrict__ codes,
                        float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  __shared__ std::uint32_t shared[kGroupThreads / 32];
  const unsigned group = blockIdx.x;
  const std::uint64_t top = static_cast<std::uint64_t>(group / groups.across) * groups.height;
  const std::uint64_t left = group % groups.across * groups.width;
  const std::uint64_t bottom = min(top + groups.height, groups.rows);
  const std::uint64_t right = min(left + groups.width, groups.columns);
  LargestMagnitude<Source> magnitude;
  for (std::uint64_t r = top; r < bottom; ++r) {
    for (std::uint64_t c = left + threadIdx.x; c < right; c += kGroupThreads) {
      magnitude.add(load_chunk<typename Source::Raw, 1>(in + r * groups.columns + c));
    }
  }
  const std::uint32_t found = max_over_threads(magnitude.bits(), kGroupThreads, shared);
  const auto scale = Format::scale_from_amax(codec::from_bits(found));
  if (threadIdx.x == 0) {
    scales[group] = scale.stored;
    raise(largest, found);
  }
  for (std::uint64_t r = top; r < bottom; ++r) {
    for (std::uint64_t c = left + threadIdx.x; c < right; c += kGroupThreads) {
      const std::uint64_t at = r * groups.columns + c;
      codes[at] = static_cast<std::uint8_t>(Format::encode(Source::decode(in[at]), scale.encode));
    }
  }
}

/// The walk over groups in chunks of `width` elements: few enough steps to keep all loads in flight.
inline Walk walk_over(const Groups& groups, unsigned width) {
  const std::uint64_t across = (groups.width + width - 1) / width;
  const std::uint64_t chunks = across * groups.height;
  unsigned threads = 32;
  while (threads < kGroupThreads && threads * 2 < chunks) threads *= 2;
  while (threads < kMostGroupThreads && threads * kMostChunks / 2 < chunks) threads *= 2;
  if (threads * static_cast<std::uint64_t>(kMostChunks) < chunks) return {};
  const auto steps = static_cast<unsigned>((chunks + threads - 1) / threads);
  if (groups.height == 1) return {threads, threads, 0, threads, steps};
  if (across > threads || threads % across != 0) return {};
  const auto side_by_side = static_cast<unsigned>(across);
  return {threads, side_by_side, threads / side_by_side, 0, steps};
}

template <class Format, class Source, int Width>
bool launch_groups_of_width(const typename Source::Raw* in, const Groups& groups, std::uint8_t* codes, float* scales,
                            std::uint32_t* largest, cudaStream_t stream) {
  if (!rows_align<typename Source::Raw, std::uint8_t>(in, codes, groups.columns, Width) || groups.width % Width != 0) return false;
  const Walk walk = walk_over(groups, Width);
  if (walk.threads == 0) return false;
  const unsigned threads = walk.threads > kGroupThreads ? walk.threads : kGroupThreads;
  const std::uint64_t per_block = threads / walk.threads;
  const auto blocks = static_cast<unsigned>((std::uint64_t{groups.count} + per_block - 1) / per_block);
  const auto launch = [&](auto kernel) { kernel<<<blocks, threads, 0, stream>>>(in, groups, walk, codes, scales, largest); };
  const bool small = threads <= 2 * kGroupThreads;
  if (small && walk.steps <= 2) {
    launch(groups_kernel<Format, Source, Width, 2>);
  } else if (small && walk.steps <= 4) {
    launch(groups_kernel<Format, Source, Width, 4>);
  } else {
    launch(groups_kernel<Format, Source, Width, kMostChunks>);
  }
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
      !launch_groups_of_width<Format, Source, 1>(in, groups, codes, scales, largest, stream)) {
    large_groups_kernel<Format, Source><<<groups.count, kGroupThreads, 0, stream>>>(in, groups, codes, scales, largest);
  }
  check_launch("start a quantization kernel");
}

}  // namespace halftone::cuda
