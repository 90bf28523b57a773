#pragma once

// Quantization with one scale for each group, a rectangle of `height` rows and `width` columns:
// one reading of the weights finds the scale and makes the codes.

#include <halftone/codec/hd.hpp>

#include "kernels/access.cuh"
#include "kernels/reduce.cuh"
#include "runtime/check.hpp"

namespace halftone::cuda {

/// How a weight is cut into groups.
struct Groups {
  std::uint64_t rows = 0;     ///< of the weight
  std::uint64_t columns = 0;
  std::uint32_t height = 1;   ///< of a group, in rows
  std::uint64_t width = 0;    ///< of a group, in columns

  [[nodiscard]] __host__ __device__ std::uint64_t across() const { return (columns + width - 1) / width; }
  [[nodiscard]] __host__ __device__ std::uint64_t count() const { return (rows + height - 1) / height * across(); }
};

/// Threads of a block; one group takes a power of two of them, at least a warp.
constexpr unsigned kGroupThreads = 256;
constexpr unsigned kMostGroupThreads = 1024;
/// Chunks of a group that one thread keeps in registers.
constexpr int kGroupChunks = 8;

/// How the threads of a group walk over it: thread t begins at row t / across and chunk t % across
/// and goes on by the steps.
struct Walk {
  unsigned threads = 32;  ///< for each group
  unsigned across = 32;   ///< of which so many lie side by side
  unsigned step_rows = 0;
  unsigned step_chunks = 32;
};

template <class Format, class Source, int Width>
__global__ void __launch_bounds__(kMostGroupThreads)
    groups_kernel(const typename Source::Raw* __restrict__ in, Groups groups, Walk walk, std::uint8_t* __restrict__ codes,
                  float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  using Raw = typename Source::Raw;
  __shared__ std::uint32_t shared[kMostGroupThreads / 32];
  const unsigned per_block = blockDim.x / walk.threads;
  const std::uint64_t group = static_cast<std::uint64_t>(blockIdx.x) * per_block + threadIdx.x / walk.threads;
  const bool exists = group < groups.count();
  const unsigned thread = threadIdx.x % walk.threads;
  const std::uint64_t top = group / groups.across() * groups.height;
  const std::uint64_t left = group % groups.across() * groups.width;
  const std::uint64_t bottom = exists ? min(top + groups.height, groups.rows) : 0;
  const std::uint64_t right = exists ? min(left + groups.width, groups.columns) : 0;
  const std::uint64_t row = top + thread / walk.across;
  const std::uint64_t column = left + static_cast<std::uint64_t>(thread % walk.across) * Width;

  Chunk<Raw, Width> kept[kGroupChunks];
#pragma unroll
  for (int k = 0; k < kGroupChunks; ++k) {
    const std::uint64_t r = row + static_cast<std::uint64_t>(k) * walk.step_rows;
    const std::uint64_t c = column + static_cast<std::uint64_t>(k) * walk.step_chunks * Width;
    if (r < bottom && c < right) kept[k] = load_chunk<Raw, Width>(in + r * groups.columns + c);
  }
  std::uint32_t found = 0;
#pragma unroll
  for (int k = 0; k < kGroupChunks; ++k) {
    const std::uint64_t r = row + static_cast<std::uint64_t>(k) * walk.step_rows;
    const std::uint64_t c = column + static_cast<std::uint64_t>(k) * walk.step_chunks * Width;
    if (r >= bottom || c >= right) continue;
#pragma unroll
    for (int i = 0; i < Width; ++i) found = max(found, codec::bits(Source::decode(kept[k].items[i])) & codec::kMagnitudeMask);
  }
  found = max_over_threads(found, walk.threads, shared);
  if (!exists) return;
  const auto scale = Format::scale_from_amax(codec::from_bits(found));
  if (thread == 0) {
    scales[group] = scale.stored;
    raise(largest, found);
  }
#pragma unroll
  for (int k = 0; k < kGroupChunks; ++k) {
    const std::uint64_t r = row + static_cast<std::uint64_t>(k) * walk.step_rows;
    const std::uint64_t c = column + static_cast<std::uint64_t>(k) * walk.step_chunks * Width;
    if (r >= bottom || c >= right) continue;
    Chunk<std::uint8_t, Width> made;
#pragma unroll
    for (int i = 0; i < Width; ++i) {
      made.items[i] = static_cast<std::uint8_t>(Format::encode(Source::decode(kept[k].items[i]), scale.encode));
    }
    store_chunk<std::uint8_t, Width>(codes + r * groups.columns + c, made);
  }
}

/// The same for groups of any size, read twice; one block for each.
template <class Format, class Source>
__global__ void __launch_bounds__(kGroupThreads)
    large_groups_kernel(const typename Source::Raw* __restrict__ in, Groups groups, std::uint8_t* __restrict__ codes,
                        float* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  __shared__ std::uint32_t shared[kGroupThreads / 32];
  const std::uint64_t group = blockIdx.x;
  const std::uint64_t top = group / groups.across() * groups.height;
  const std::uint64_t left = group % groups.across() * groups.width;
  const std::uint64_t bottom = min(top + groups.height, groups.rows);
  const std::uint64_t right = min(left + groups.width, groups.columns);
  std::uint32_t found = 0;
  for (std::uint64_t r = top; r < bottom; ++r) {
    for (std::uint64_t c = left + threadIdx.x; c < right; c += kGroupThreads) {
      found = max(found, codec::bits(Source::decode(in[r * groups.columns + c])) & codec::kMagnitudeMask);
    }
  }
  found = max_over_threads(found, kGroupThreads, shared);
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

/// The walk over groups in chunks of `width` elements; threads is 0 where the registers of a block
/// do not hold a group.
inline Walk walk_over(const Groups& groups, unsigned width) {
  const std::uint64_t across = (groups.width + width - 1) / width;
  Walk walk;
  if (groups.height == 1) {
    while (walk.threads * kGroupChunks / 2 < across && walk.threads < kMostGroupThreads) walk.threads *= 2;
    walk.across = walk.step_chunks = walk.threads;
    if (walk.threads * kGroupChunks < across) walk.threads = 0;
    return walk;
  }
  walk.threads = kGroupThreads;
  const bool divides = across <= walk.threads && walk.threads % across == 0;
  walk.across = divides ? static_cast<unsigned>(across) : 1;
  walk.step_rows = walk.threads / walk.across;
  walk.step_chunks = 0;
  if (!divides || walk.step_rows * kGroupChunks < groups.height) walk.threads = 0;
  return walk;
}

template <class Format, class Source, int Width>
bool launch_groups_of_width(const typename Source::Raw* in, const Groups& groups, std::uint8_t* codes, float* scales,
                            std::uint32_t* largest, cudaStream_t stream) {
  if (!rows_align<typename Source::Raw, std::uint8_t>(in, codes, groups.columns, Width) || groups.width % Width != 0) return false;
  const Walk walk = walk_over(groups, Width);
  if (walk.threads == 0) return false;
  const unsigned threads = walk.threads > kGroupThreads ? walk.threads : kGroupThreads;
  const std::uint64_t per_block = threads / walk.threads;
  const std::uint64_t blocks = (groups.count() + per_block - 1) / per_block;
  groups_kernel<Format, Source, Width><<<static_cast<unsigned>(blocks), threads, 0, stream>>>(in, groups, walk, codes, scales, largest);
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
    large_groups_kernel<Format, Source>
        <<<static_cast<unsigned>(groups.count()), kGroupThreads, 0, stream>>>(in, groups, codes, scales, largest);
  }
  check_launch("start a quantization kernel");
}

}  // namespace halftone::cuda
