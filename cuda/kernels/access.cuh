#pragma once

#include <cuda_pipeline.h>

#include <cstddef>
#include <cstdint>

namespace halftone::cuda {

/// Bytes of the widest access of a thread.
constexpr std::size_t kVectorBytes = 16;

/// `N` elements that are loaded and stored in one access where alignment allows.
template <class T, int N>
struct alignas(sizeof(T) * N) Chunk {
  T items[N];
};

/// `Again`: the elements will be read once more.
template <class T, int N, bool Again = false>
__device__ Chunk<T, N> load_chunk(const T* from) {
  if constexpr (sizeof(Chunk<T, N>) == kVectorBytes && !Again) {
    // Most weights are read once: they need not stay in the caches.
    const uint4 words = __ldcs(reinterpret_cast<const uint4*>(from));
    Chunk<T, N> chunk;
    memcpy(&chunk, &words, sizeof chunk);
    return chunk;
  } else {
    return *reinterpret_cast<const Chunk<T, N>*>(from);
  }
}

/// `N` elements of several vectors, aligned to one.
template <class T, int N>
__device__ Chunk<T, N> load_vectors(const T* from) {
  constexpr int width = static_cast<int>(kVectorBytes / sizeof(T));
  Chunk<T, width> vectors[N / width];
#pragma unroll
  for (int k = 0; k < N / width; ++k) vectors[k] = load_chunk<T, width>(from + k * width);
  Chunk<T, N> chunk;
  memcpy(&chunk, vectors, sizeof chunk);
  return chunk;
}

/// Elements [first, first + N) of a row of `n` elements, one by one, and 0 behind its end.
template <class T, int N>
__device__ Chunk<T, N> load_elements(const T* row, std::uint64_t first, std::uint64_t n) {
  Chunk<T, N> chunk = {};
#pragma unroll
  for (int i = 0; i < N; ++i) {
    if (first + i < n) chunk.items[i] = row[first + i];
  }
  return chunk;
}

/// Results are read by nobody here: they should not push out of the caches what will be read again.
template <class T, int N>
__device__ void store_chunk(T* to, const Chunk<T, N>& chunk) {
  if constexpr (sizeof chunk == 16) {
    uint4 words;
    memcpy(&words, &chunk, sizeof chunk);
    __stcs(reinterpret_cast<uint4*>(to), words);
  } else if constexpr (sizeof chunk == 8) {
    uint2 words;
    memcpy(&words, &chunk, sizeof chunk);
    __stcs(reinterpret_cast<uint2*>(to), words);
  } else if constexpr (sizeof chunk == 4) {
    unsigned word;
    memcpy(&word, &chunk, sizeof chunk);
    __stcs(reinterpret_cast<unsigned*>(to), word);
  } else {
    *reinterpret_cast<Chunk<T, N>*>(to) = chunk;
  }
}

/// Begins to copy a chunk to shared memory, where the same thread finds it after wait_for_copies(): no register
/// holds it meanwhile.
template <class T, int N>
__device__ void copy_to_shared(Chunk<T, N>* to, const T* from) {
  if constexpr (sizeof(Chunk<T, N>) == kVectorBytes) {
    __pipeline_memcpy_async(to, from, kVectorBytes);
  } else {
    *to = load_chunk<T, N>(from);
  }
}

__device__ inline void wait_for_copies() {
  __pipeline_commit();
  __pipeline_wait_prior(0);
}

/// Elements of `T` in one vector.
template <class T>
constexpr int kVectorElements = static_cast<int>(kVectorBytes / sizeof(T));

/// Whether rows of `columns` elements of In, each giving one Out, can be handled in chunks of
/// `width` elements: every row then begins at a chunk boundary on both sides.
template <class In, class Out>
bool rows_align(const void* in, const void* out, std::uint64_t columns, int width) {
  const auto n = static_cast<std::uint64_t>(width);
  return reinterpret_cast<std::uintptr_t>(in) % (sizeof(In) * n) == 0 && reinterpret_cast<std::uintptr_t>(out) % (sizeof(Out) * n) == 0 &&
         columns % n == 0;
}

}  // namespace halftone::cuda
