#pragma once

// The search of searched_runs.cuh for bfloat16: errors are looked up in a table and added, and only scales that these sums
// leave open are compared as the format computes their errors.
//
// A thread has a run.  A row of the table is there once for each lane of the eight that read shared memory together, so
// that they never wait for one another.

#include <algorithm>
#include <type_traits>

#include <halftone/codec/hd.hpp>

#include "formats/nvfp4/error_table.hpp"
#include "formats/nvfp4/scale_search.hpp"
#include "kernels/access.cuh"
#include "kernels/coders.cuh"
#include "kernels/codes.cuh"
#include "kernels/magnitude.cuh"
#include "kernels/sources.cuh"
#include "runtime/check.hpp"
#include "runtime/device_facts.hpp"
#include "runtime/shared_memory.hpp"

namespace halftone::cuda {

constexpr unsigned kTabledThreads = 1024;

template <class Format>
struct RunTable {
  static constexpr bool kExists = false;
};
template <>
struct RunTable<formats::nvfp4::Format> : formats::nvfp4::ErrorTable {
  static constexpr bool kExists = true;
  static constexpr int kWeights = static_cast<int>(formats::nvfp4::Format::kRun);
  static __device__ float squared_error(float magnitude, float scale) {
    return formats::nvfp4::ScaleSearch::squared_error_of(magnitude, scale);
  }
};

/// A table in the shared memory of a block.
template <class Table>
class SharedTable {
  static constexpr unsigned kCopies = 8;
  /// Of a row with all its copies.
  static constexpr unsigned kRowBytes = kCopies * sizeof(uint4);
  static constexpr unsigned kAllRows = Table::kRows + Table::kRowsBefore;

 public:
  static constexpr std::size_t kBytes = std::size_t{kAllRows} * kRowBytes;

  /// All threads of the block must call it.
  __device__ SharedTable(unsigned char* memory, float tensor) : copy_(memory + threadIdx.x % kCopies * sizeof(uint4)) {
    for (unsigned row = threadIdx.x; row < kAllRows; row += blockDim.x) {
      std::uint32_t words[4] = {};
      if (row >= Table::kRowsBefore) {
#pragma unroll
        for (unsigned i = 0; i < Table::kOctaveScales; ++i)
          words[i / 2] |= Table::entry(tensor, row - Table::kRowsBefore, i) << (i % 2 * 16);
      }
      const uint4 entries = make_uint4(words[0], words[1], words[2], words[3]);
      for (unsigned k = 0; k < kCopies; ++k) {
        const unsigned copy = (threadIdx.x + k) % kCopies;  // another one than the neighbours store to
        *reinterpret_cast<uint4*>(memory + row * kRowBytes + copy * sizeof(uint4)) = entries;
      }
    }
    __syncthreads();
  }

  /// Adds the errors of the weights in `words`, two in each, for two octaves of which the first begins at `first_row`.
  template <int Words>
  __device__ void add(const std::uint32_t (&words)[Words], std::uint32_t first_row, std::uint32_t (&sums)[8]) const {
    constexpr std::uint32_t both = 0x0001'0001U;
    constexpr std::uint32_t last = (Table::kRows - 1U) * both;
    const std::uint32_t negated = ((0U - first_row) & 0xFFFFU) * both;
#pragma unroll
    for (int i = 0; i < Words; ++i) {
      // max(min(weight - first_row, last), 0) in each half.
      const std::uint32_t rows = __viaddmin_s16x2_relu(words[i] & 0x7FFF'7FFFU, negated, last);
      add_rows(at(rows << 7), at(rows >> 9), sums);
    }
  }

 private:
  static_assert(kRowBytes == 128);

  /// The row at `offset`, of which all but a multiple of kRowBytes is ignored, in the first of two octaves.
  [[nodiscard]] __device__ const unsigned char* at(std::uint32_t offset) const { return copy_ + (offset & 0x003F'FF80U); }

  static __device__ void add_rows(const unsigned char* one, const unsigned char* other, std::uint32_t (&sums)[8]) {
    constexpr unsigned before = Table::kRowsBefore * kRowBytes;
    const uint4 low[2] = {*reinterpret_cast<const uint4*>(one + before), *reinterpret_cast<const uint4*>(other + before)};
    const uint4 high[2] = {*reinterpret_cast<const uint4*>(one), *reinterpret_cast<const uint4*>(other)};
    sums[0] += low[0].x + low[1].x;
    sums[1] += low[0].y + low[1].y;
    sums[2] += low[0].z + low[1].z;
    sums[3] += low[0].w + low[1].w;
    sums[4] += high[0].x + high[1].x;
    sums[5] += high[0].y + high[1].y;
    sums[6] += high[0].z + high[1].z;
    sums[7] += high[0].w + high[1].w;
  }

  const unsigned char* copy_;
};

/// A run of which several scales are open, in shared memory: what a thread knows of it, and what its warp finds.
template <class Format>
struct OpenRun {
  static constexpr int kWords = RunTable<Format>::kWeights / 2;

  alignas(16) std::uint32_t words[kWords];  ///< its weights
  std::uint32_t open;                       ///< bit i for code origin + i
  std::uint16_t origin;
  std::uint16_t plain;
  std::uint32_t best;  ///< the code of the best scale
};

/// Four threads try a scale, each with a quarter of the weights; so a warp has two scales of four runs at a time.
constexpr unsigned kTryThreads = 4;
constexpr unsigned kRunsAtATime = 32 / (2 * kTryThreads);

/// The squared error of 16 weights over four neighbouring threads: lane by lane, and then by halves
/// (KernelTable::squared_error).
template <class Format>
[[nodiscard]] __device__ float squared_error_of_four(const std::uint16_t* weights, float scale) {
  static_assert(RunTable<Format>::kWeights == 16 && kTryThreads == 4);
  float errors[4];
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {
    const float magnitude = codec::magnitude(Bf16::decode(weights[threadIdx.x % kTryThreads + i * kTryThreads]));
    errors[i] = RunTable<Format>::squared_error(magnitude, scale);
  }
  float sum = (errors[0] + errors[2]) + (errors[1] + errors[3]);
  sum += __shfl_xor_sync(0xFFFF'FFFFU, sum, 2);
  sum += __shfl_xor_sync(0xFFFF'FFFFU, sum, 1);
  return sum;
}

/// Finds the best one of the open scales of `count` runs: of equally good ones the plain one, or else the smallest.
/// All threads of a warp must call it.
template <class Format>
__device__ void try_open(OpenRun<Format>* runs, unsigned count, float tensor) {
  const unsigned place = threadIdx.x % 32 / (2 * kTryThreads);
  const bool is_second = threadIdx.x % (2 * kTryThreads) >= kTryThreads;
  for (unsigned first = 0; first < count; first += kRunsAtATime) {
    OpenRun<Format>& run = runs[first + place < count ? first + place : first];
    const auto* weights = reinterpret_cast<const std::uint16_t*>(run.words);
    const std::uint32_t plain = run.plain;
    std::uint32_t open = run.open;
    std::uint32_t best = plain;
    float least = codec::from_bits(codec::kInfinityBits);
    const auto compare = [&best, &least, plain](float error, std::uint32_t code) {
      if (!(error < least || (error == least && code == plain))) return;
      least = error;
      best = code;
    };
    while (__any_sync(0xFFFF'FFFFU, open != 0)) {
      // The lowest two; where none is left, the plain one again, which changes nothing.
      const std::uint32_t one = open != 0 ? run.origin + static_cast<std::uint32_t>(__ffs(static_cast<int>(open))) - 1 : plain;
      open &= open - 1;
      const std::uint32_t other = open != 0 ? run.origin + static_cast<std::uint32_t>(__ffs(static_cast<int>(open))) - 1 : one;
      open &= open - 1;
      const float scale = Format::decode_operand(static_cast<std::uint8_t>(is_second ? other : one), tensor);
      const float mine = squared_error_of_four<Format>(weights, scale);
      const float theirs = __shfl_xor_sync(0xFFFF'FFFFU, mine, kTryThreads);
      compare(is_second ? theirs : mine, one);
      compare(is_second ? mine : theirs, other);
    }
    if (threadIdx.x % (2 * kTryThreads) == 0 && first + place < count) run.best = best;
  }
}

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
