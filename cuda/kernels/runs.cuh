#pragma once

// Quantization with one scale for each run of a few elements of a row: the threads of a part of a warp share a run,
// and hold it in registers.

#include <halftone/codec/hd.hpp>

#include "formats/nvfp4/ordinary_format.hpp"
#include "kernels/access.cuh"
#include "kernels/coders.cuh"
#include "kernels/codes.cuh"
#include "kernels/flat.cuh"
#include "kernels/magnitude.cuh"
#include "kernels/reduce.cuh"
#include "kernels/sources.cuh"
#include "kernels/tensor_scale.cuh"
#include "runtime/check.hpp"
#include "runtime/dependent_launch.cuh"

namespace halftone::cuda {

/// How a weight is cut into runs.  Where rows end with a run, the weight is one long row.
struct Runs {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;  ///< of a row of weights
  std::uint64_t padded = 0;   ///< columns of a row of codes: whole runs
  unsigned shift = 0;         ///< log2 of the elements of a run

  static Runs of(std::uint64_t rows, std::uint64_t columns, std::uint32_t width) {
    const auto shift = static_cast<unsigned>(__builtin_ctz(width));
    const std::uint64_t padded = (columns + width - 1) / width * width;
    if (padded == columns) return {1, rows * columns, rows * columns, shift};
    return {rows, columns, padded, shift};
  }
  [[nodiscard]] __device__ unsigned width() const { return 1U << shift; }
};

constexpr unsigned kRunThreads = 256;
/// Elements that a thread handles together, two vectors: what is done once for a run weighs less then.
template <class Source>
constexpr int kRunElements = 2 * kVectorElements<typename Source::Raw>;
/// So many times.
constexpr unsigned kRunChunks = 2;

/// The maths of a format with fewer operations, for weights with an ordinary scale.
template <class Format>
struct OrdinaryMaths {
  static constexpr bool kExists = false;
};
template <>
struct OrdinaryMaths<formats::nvfp4::Format> {
  static constexpr bool kExists = true;
  using Maths = formats::nvfp4::OrdinaryFormat;
};

/// What a block quantizes of a row of weights, and where that goes.
struct RunsPart {
  unsigned left;             ///< elements from its first one up to the end of the row of weights,
  unsigned padded_left;      ///< and of the row of codes
  unsigned shift;            ///< log2 of the elements of a run
  std::uint64_t first_code;  ///< place of its first code among all
};

/// Quantizes what a thread has loaded of a part; returns the bits of the largest magnitude.
template <class Maths, class Source>
__device__ std::uint32_t quantize_loaded(const Chunk<typename Source::Raw, kRunElements<Source>> (&loaded)[kRunChunks],
                                         const RunsPart& part, const Encoder<Maths>& encode, float tensor, std::uint8_t* __restrict__ codes,
                                         formats::StoredScale<Maths>* __restrict__ scales) {
  constexpr int width = kRunElements<Source>;
  const unsigned lanes = (formats::kRunOf<Maths> != 0 ? formats::kRunOf<Maths> : 1U << part.shift) / width;
  std::uint32_t most = 0;
#pragma unroll
  for (unsigned k = 0; k < kRunChunks; ++k) {
    const unsigned at = threadIdx.x * width + k * kRunThreads * width;
    LargestMagnitude<Source> magnitude;
    magnitude.add(loaded[k]);
    std::uint32_t found = at < part.left ? magnitude.bits() : 0U;
    for (unsigned apart = 1; apart < lanes; apart *= 2) found = max(found, __shfl_xor_sync(0xFFFF'FFFFU, found, apart));
    most = max(most, found);
    if (at >= part.padded_left) continue;
    const auto scale = formats::group_scale<Maths>(codec::from_bits(found), tensor);
    if (lanes == 1 || threadIdx.x % lanes == 0) scales[(part.first_code >> part.shift) + (at >> part.shift)] = scale.stored;
    float values[width];
    decode_chunk<Source>(loaded[k], values);
    std::uint32_t made[width];
#pragma unroll
    for (int i = 0; i < width; ++i) made[i] = encode(values[i], scale.encode);
    Codes<Maths, width> stored = packed<Maths, width>(made);
    if (at >= part.left) stored = {};
    store_chunk(codes + code_bytes<Maths>(part.first_code) + code_bytes<Maths>(at), stored);
  }
  return most;
}

/// `Aligned`: chunks of weights can be loaded at once; otherwise element by element, with 0 behind the end of a row.
/// `Follows`: the largest magnitude of the weight was measured by the kernel before in the stream.
template <class Format, class Source, bool Aligned, bool Follows>
__global__ void __launch_bounds__(kRunThreads)
    runs_kernel(const typename Source::Raw* __restrict__ in, Runs runs, unsigned blocks_across, Order order, TensorAmax amax,
                std::uint8_t* __restrict__ codes, formats::StoredScale<Format>* __restrict__ scales, std::uint32_t* __restrict__ largest) {
  using Raw = typename Source::Raw;
  constexpr int width = kRunElements<Source>;
  constexpr unsigned step = kRunThreads * width;
  constexpr unsigned per_block = step * kRunChunks;
  __shared__ typename Encoder<Format>::Shared shared;
  const unsigned block = order == Order::forwards ? blockIdx.x : gridDim.x - 1 - blockIdx.x;
  const std::uint64_t row = block / blocks_across;
  const std::uint64_t column = static_cast<std::uint64_t>(block % blocks_across) * per_block;
  const RunsPart part{static_cast<unsigned>(column < runs.columns ? min(runs.columns - column, std::uint64_t{per_block}) : 0),
                      static_cast<unsigned>(min(runs.padded - column, std::uint64_t{per_block})), runs.shift, row * runs.padded + column};
  const Raw* from = in + row * runs.columns + column;

  Chunk<Raw, width> loaded[kRunChunks];
#pragma unroll
  for (unsigned k = 0; k < kRunChunks; ++k) {
    const unsigned at = threadIdx.x * width + k * step;
    if constexpr (Aligned) {
      loaded[k] = load_vectors<Raw, width>(at < part.left ? from + at : in);  // always something, so that loads need not wait
    } else {
      loaded[k] = load_elements<Raw, width>(from, at, part.left);
    }
  }
  const Encoder<Format> encode(shared);
  if constexpr (Follows) wait_for_kernel_before();
  const float tensor = tensor_scale<Format>(amax);
  const SharedMax of_weight(largest, !formats::TwoLevel<Format> && threadIdx.x % 32 == 0);  // while the loads are under way
  if constexpr (OrdinaryMaths<Format>::kExists) {
    using Maths = typename OrdinaryMaths<Format>::Maths;
    if (Maths::serves(tensor)) {
      typename Encoder<Maths>::Shared none;
      (void)quantize_loaded<Maths, Source>(loaded, part, Encoder<Maths>(none), tensor, codes, scales);
      return;
    }
  }
  std::uint32_t most = quantize_loaded<Format, Source>(loaded, part, encode, tensor, codes, scales);
  if constexpr (!formats::TwoLevel<Format>) {
    most = __reduce_max_sync(0xFFFF'FFFFU, most);
    if (threadIdx.x % 32 == 0) of_weight.raise(most);
  }
}

/// Whether runs of `width` elements fit a warp.
template <class Source>
[[nodiscard]] bool runs_fit(std::uint64_t width) {
  constexpr std::uint64_t chunk = kRunElements<Source>;
  const std::uint64_t lanes = width / chunk;
  return width % chunk == 0 && lanes != 0 && lanes <= 32 && (lanes & (lanes - 1)) == 0;
}

template <class Format, class Source, bool Aligned, bool Follows>
void launch_runs_with(const typename Source::Raw* in, const Runs& runs, const TensorAmax& amax, std::uint8_t* codes,
                      formats::StoredScale<Format>* scales, std::uint32_t* largest, cudaStream_t stream) {
  constexpr std::uint64_t per_block = static_cast<std::uint64_t>(kRunThreads) * kRunChunks * kRunElements<Source>;
  const auto across = static_cast<unsigned>((runs.padded + per_block - 1) / per_block);
  const auto blocks = static_cast<unsigned>(runs.rows * across);
  launch_after<Follows>(runs_kernel<Format, Source, Aligned, Follows>, blocks, kRunThreads, stream, in, runs, across,
                        Follows ? Order::backwards : Order::forwards, amax, codes, scales, largest);
}

/// Quantizes `in`, rows × columns, with a scale for each run of `width` columns, for which runs_fit(); the last of a row
/// may be shorter, and its codes are filled up.  *largest is raised to the bits of the largest magnitude, except by
/// formats of two levels.
template <class Format, class Source>
void launch_runs(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns, std::uint32_t width, const TensorAmax& amax,
                 std::uint8_t* codes, formats::StoredScale<Format>* scales, std::uint32_t* largest, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  const Runs runs = Runs::of(rows, columns, width);
  const bool aligned = rows_align<typename Source::Raw, std::uint8_t>(in, codes, runs.columns, kRunElements<Source>);
  if constexpr (formats::TwoLevel<Format>) {
    if (amax.bits != nullptr) {
      if (aligned) return launch_runs_with<Format, Source, true, true>(in, runs, amax, codes, scales, largest, stream);
      return launch_runs_with<Format, Source, false, true>(in, runs, amax, codes, scales, largest, stream);
    }
  }
  if (aligned) return launch_runs_with<Format, Source, true, false>(in, runs, amax, codes, scales, largest, stream);
  launch_runs_with<Format, Source, false, false>(in, runs, amax, codes, scales, largest, stream);
}

}  // namespace halftone::cuda
