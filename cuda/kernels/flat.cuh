#pragma once

// Kernels over a run of elements that all have one scale: element i in, element i out.

#include <algorithm>
#include <limits>

#include <halftone/codec/hd.hpp>

#include "kernels/access.cuh"
#include "kernels/reduce.cuh"
#include "runtime/check.hpp"
#include "runtime/dependent_launch.cuh"
#include "runtime/device_facts.hpp"

namespace halftone::cuda {

constexpr unsigned kFlatThreads = 256;
/// Chunks whose loads a thread has in flight at once.
constexpr int kFlatChunks = 4;

/// Of what is read again, so many bytes at the end stay in the second-level cache.  Measured on an H100: of 16-bit weights
/// less than half of the cache, each half of which keeps what its multiprocessors read; of wider ones all that it will.
template <class In>
[[nodiscard]] std::uint64_t kept_bytes() {
  return sizeof(In) == 2 ? cache_bytes() / 10 * 3 : std::numeric_limits<std::uint64_t>::max();
}

/// In which order the blocks of a launch walk over the elements.  After a pass from the first element to
/// the last, one from the last to the first still finds the end in the second-level cache.
enum class Order : std::uint8_t { forwards, backwards };

/// Applies `op` to every chunk of `Width` elements and to the rest one by one, between op.begin() and
/// op.finish(), which every thread calls once.  Op::kWrites tells whether there is an output,
/// Op::kReadAgain whether another pass follows, which finds chunks from `first_kept` on in the cache, and Op::kFollows
/// whether begin() needs what the kernel before in the stream wrote; the loads need not wait for it.
template <int Width, class In, class Out, class Op>
__global__ void __launch_bounds__(kFlatThreads)
    flat_kernel(const In* __restrict__ in, Out* __restrict__ out, std::uint64_t n, std::uint64_t first_kept, Op op, Order order) {
  const std::uint64_t chunks = n / Width;
  const unsigned block = order == Order::forwards ? blockIdx.x : gridDim.x - 1 - blockIdx.x;
  constexpr int n_chunks = kFlatChunks;
  const std::uint64_t first = static_cast<std::uint64_t>(block) * kFlatThreads * n_chunks + threadIdx.x;
  Chunk<In, Width> loaded[n_chunks];
#pragma unroll
  for (int k = 0; k < n_chunks; ++k) {
    const std::uint64_t chunk = first + static_cast<std::uint64_t>(k) * kFlatThreads;
    if (chunk >= chunks) continue;
    if (Op::kReadAgain && chunk >= first_kept) {
      loaded[k] = load_chunk<In, Width, true>(in + chunk * Width);
    } else {
      loaded[k] = load_chunk<In, Width>(in + chunk * Width);
    }
  }
  if constexpr (Op::kFollows) wait_for_kernel_before();
  op.begin();  // while the loads are under way
#pragma unroll
  for (int k = 0; k < n_chunks; ++k) {
    const std::uint64_t chunk = first + static_cast<std::uint64_t>(k) * kFlatThreads;
    if (chunk >= chunks) break;
    const Chunk<Out, Width> made = op(loaded[k]);
    if constexpr (Op::kWrites) store_chunk<Out, Width>(out + chunk * Width, made);
  }
  // The elements behind the last whole chunk go to the first threads.
  const std::uint64_t rest = chunks * Width + first;
  if (block == 0 && rest < n) {
    const Chunk<Out, 1> made = op(load_chunk<In, 1>(in + rest));
    if constexpr (Op::kWrites) out[rest] = made.items[0];
  }
  op.finish();
}

template <int Width, class In, class Out, class Op>
void launch_flat_of_width(const In* in, Out* out, std::uint64_t n, const Op& op, Order order, cudaStream_t stream) {
  const std::uint64_t per_block = static_cast<std::uint64_t>(Width) * kFlatThreads * kFlatChunks;
  const auto blocks = static_cast<unsigned>((n + per_block - 1) / per_block);
  const std::uint64_t chunks = n / Width;
  const std::uint64_t kept = Op::kReadAgain ? std::min(chunks, kept_bytes<In>() / (sizeof(In) * Width)) : 0;
  launch_after<Op::kFollows>(flat_kernel<Width, In, Out, Op>, blocks, kFlatThreads, stream, in, out, n, chunks - kept, op, order);
}

/// Runs `op` over `n` elements; any alignment of the elements' own size.
template <class In, class Out, class Op>
void launch_flat(const In* in, Out* out, std::uint64_t n, const Op& op, cudaStream_t stream, Order order = Order::forwards) {
  if (n == 0) return;
  constexpr int width = static_cast<int>(kVectorBytes / (sizeof(In) > sizeof(Out) ? sizeof(In) : sizeof(Out)));
  if (rows_align<In, Out>(in, out, width, width)) {
    launch_flat_of_width<width>(in, out, n, op, order, stream);
  } else {
    launch_flat_of_width<1>(in, out, n, op, order, stream);
  }
}

}  // namespace halftone::cuda
