#pragma once

// Quantization of runs of 16 with the scale of least squared error: a thread to a run, with all its weights in registers.

#include <halftone/codec/hd.hpp>

#include "formats/nvfp4/scale_search.hpp"
#include "kernels/runs.cuh"
#include "kernels/tabled_runs.cuh"

namespace halftone::cuda {

constexpr unsigned kSearchedRunThreads = 256;

/// The search of a format of runs.
template <class Format>
struct RunSearch;
template <>
struct RunSearch<formats::nvfp4::Format> : formats::nvfp4::ScaleSearch {};

/// `Aligned`: whole runs of weights can be loaded at once; otherwise element by element, with 0 behind the end of a row.
template <class Format, class Source, bool Aligned>
__global__ void __launch_bounds__(kSearchedRunThreads)
    searched_runs_kernel(const typename Source::Raw* __restrict__ in, Runs runs, unsigned blocks_across, float tensor_amax,
                         std::uint8_t* __restrict__ codes, formats::StoredScale<Format>* __restrict__ scales) {
  constexpr int width = RunSearch<Format>::kWeights;
  __shared__ typename Encoder<Format>::Shared shared;
  const Encoder<Format> encode(shared);
  const std::uint64_t row = blockIdx.x / blocks_across;
  const std::uint64_t column = (static_cast<std::uint64_t>(blockIdx.x % blocks_across) * kSearchedRunThreads + threadIdx.x) * width;
  if (column >= runs.padded) return;
  Chunk<typename Source::Raw, width> loaded;
  if constexpr (Aligned) {
    loaded = load_vectors<typename Source::Raw, width>(in + row * runs.columns + column);
  } else {
    loaded = load_elements<typename Source::Raw, width>(in + row * runs.columns, column, runs.columns);
  }
  LargestMagnitude<Source> largest;
  largest.add(loaded);
  float values[width];
  decode_chunk<Source>(loaded, values);
  float magnitudes[width];
#pragma unroll
  for (int i = 0; i < width; ++i) magnitudes[i] = codec::magnitude(values[i]);
  const auto scale = RunSearch<Format>::best(magnitudes, codec::from_bits(largest.bits()), Format::tensor_scale(tensor_amax));
  const std::uint64_t first_code = row * runs.padded + column;
  scales[first_code / width] = scale.stored;
  std::uint32_t made[width];
#pragma unroll
  for (int i = 0; i < width; ++i) made[i] = encode(values[i], scale.encode);
  store_chunk(codes + code_bytes<Format>(first_code), packed<Format, width>(made));
}

/// Quantizes `in`, rows × columns, like launch_runs() with a given scale of the whole weight.
template <class Format, class Source>
void launch_searched_runs(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns, float tensor_amax, std::uint8_t* codes,
                          formats::StoredScale<Format>* scales, cudaStream_t stream) {
  if (rows == 0 || columns == 0) return;
  if (launch_tabled_runs<Format, Source>(in, rows, columns, tensor_amax, codes, scales, stream)) return;
  constexpr std::uint32_t width = RunSearch<Format>::kWeights;
  const Runs runs = Runs::of(rows, columns, width);
  constexpr std::uint64_t per_block = std::uint64_t{kSearchedRunThreads} * width;
  const auto across = static_cast<unsigned>((runs.padded + per_block - 1) / per_block);
  const auto blocks = static_cast<unsigned>(runs.rows * across);
  const bool aligned = rows_align<typename Source::Raw, std::uint8_t>(in, codes, runs.columns, static_cast<int>(width));
  const auto kernel = aligned ? searched_runs_kernel<Format, Source, true> : searched_runs_kernel<Format, Source, false>;
  kernel<<<blocks, kSearchedRunThreads, 0, stream>>>(in, runs, across, tensor_amax, codes, scales);
  check_launch("start a searching quantization kernel");
}

}  // namespace halftone::cuda
