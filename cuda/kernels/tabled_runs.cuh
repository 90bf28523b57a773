#pragma once

// The search of searched_runs.cuh for bfloat16: errors are looked up in a table and added, and only scales that these sums
// leave open are compared as the format computes their errors.  A thread has a run.

#include <algorithm>
#include <type_traits>

#include <halftone/codec/hd.hpp>

#include "kernels/access.cuh"
#include "kernels/coders.cuh"
#include "kernels/codes.cuh"
#include "kernels/magnitude.cuh"
#include "kernels/open_runs.cuh"
#include "kernels/shared_table.cuh"
#include "kernels/sources.cuh"
#include "runtime/check.hpp"
#include "runtime/device_facts.hpp"
#include "runtime/shared_memory.hpp"

namespace halftone::cuda {

constexpr unsigned kTabledThreads = 1024;

/// The code of the best scale of the run of each thread.  `words`: its weights, two in each; `room`: for the warp.
template <class Format, int Words>
[[nodiscard]] __device__ std::uint32_t best_of_table(const SharedTable<RunTable<Format>>& table, const std::uint32_t (&words)[Words],
                                                     float amax, float tensor, OpenRun<Format>* room) {
  using Table = RunTable<Format>;
  const auto window = Table::Window::of(amax, tensor);
  std::uint32_t sums[Table::kOctaveScales] = {};
  table.add(words, Table::first_row(tensor, window.octave), sums);
  const std::uint32_t open = window.has_sums ? Table::open(window, sums, amax, tensor) : window.all();
  const bool several = (open & (open - 1)) != 0;
  const std::uint32_t with_several = __ballot_sync(0xFFFF'FFFFU, several);
  if (with_several == 0) return window.origin + static_cast<std::uint32_t>(__ffs(static_cast<int>(open))) - 1;
  OpenRun<Format>& mine = room[__popc(with_several & ((1U << threadIdx.x % 32) - 1U))];
  if (several) {
    memcpy(mine.words, words, sizeof words);
    mine.open = open;
    mine.origin = static_cast<std::uint16_t>(window.origin);
    mine.plain = static_cast<std::uint16_t>(window.plain);
  }
  __syncwarp();
  try_open<Format>(room, static_cast<unsigned>(__popc(with_several)), tensor);
  __syncwarp();
  return several ? mine.best : window.origin + static_cast<std::uint32_t>(__ffs(static_cast<int>(open))) - 1;
}

template <class Format>
struct TabledMemory {
  using Table = SharedTable<RunTable<Format>>;

  alignas(128) unsigned char table[Table::kBytes];
  OpenRun<Format> open[kTabledThreads];
};

/// A block makes a table once and goes through many runs, whole ones.
template <class Format>
__global__ void __launch_bounds__(kTabledThreads)
    tabled_runs_kernel(const std::uint16_t* __restrict__ in, std::uint64_t n_runs, float tensor_amax, std::uint8_t* __restrict__ codes,
                       std::uint8_t* __restrict__ scales) {
  using Memory = TabledMemory<Format>;
  constexpr int width = RunTable<Format>::kWeights;
  extern __shared__ uint4 dynamic_shared[];
  Memory& memory = *reinterpret_cast<Memory*>(dynamic_shared);
  const float tensor = Format::tensor_scale(tensor_amax);
  const typename Memory::Table table(memory.table, tensor);
  __shared__ typename Encoder<Format>::Shared encoder_shared;
  const Encoder<Format> encode(encoder_shared);
  OpenRun<Format>* const room = memory.open + threadIdx.x / 32 * 32;
  const std::uint64_t step = std::uint64_t{gridDim.x} * kTabledThreads;
  // Whole warps stay in the loop.
  for (std::uint64_t of_warp = std::uint64_t{blockIdx.x} * kTabledThreads + threadIdx.x / 32 * 32; of_warp < n_runs; of_warp += step) {
    const std::uint64_t run = of_warp + threadIdx.x % 32;
    Chunk<std::uint16_t, width> loaded = {};
    if (run < n_runs) loaded = load_vectors<std::uint16_t, width>(in + run * width);
    LargestMagnitude<Bf16> largest;
    largest.add(loaded);
    std::uint32_t words[width / 2];
    memcpy(words, &loaded, sizeof words);
    const std::uint32_t best = best_of_table<Format>(table, words, codec::from_bits(largest.bits()), tensor, room);
    if (run >= n_runs) continue;
    const auto stored = static_cast<std::uint8_t>(best);
    scales[run] = stored;
    const float scale = Format::decode_operand(stored, tensor);
    float values[width];
    decode_chunk<Bf16>(loaded, values);
    std::uint32_t made[width];
#pragma unroll
    for (int i = 0; i < width; ++i) made[i] = encode(values[i], scale);
    store_chunk(codes + code_bytes<Format>(run * width), packed<Format, width>(made));
  }
}

/// Quantizes `n` weights, rows of whole runs, like launch_searched_runs(); returns whether it can.
template <class Format, class Source>
bool launch_tabled_runs(const typename Source::Raw* in, std::uint64_t rows, std::uint64_t columns, float tensor_amax, std::uint8_t* codes,
                        std::uint8_t* scales, cudaStream_t stream) {
  if constexpr (!RunTable<Format>::kExists || !std::is_same_v<Source, Bf16>) {
    return false;
  } else {
    constexpr auto width = static_cast<std::uint64_t>(RunTable<Format>::kWeights);
    constexpr auto kernel = tabled_runs_kernel<Format>;
    constexpr std::size_t memory = sizeof(TabledMemory<Format>);
    if (!rows_align<std::uint16_t, std::uint8_t>(in, codes, columns, static_cast<int>(width))) return false;
    if (!RunTable<Format>::serves(Format::tensor_scale(tensor_amax)) || dynamic_shared_bytes<kernel>() < memory) return false;
    const std::uint64_t runs = rows * columns / width;
    const std::uint64_t blocks = std::min<std::uint64_t>((runs + kTabledThreads - 1) / kTabledThreads, multiprocessors());
    kernel<<<static_cast<unsigned>(blocks), kTabledThreads, memory, stream>>>(in, runs, tensor_amax, codes, scales);
    check_launch("start a searching quantization kernel");
    return true;
  }
}

}  // namespace halftone::cuda
