#pragma once

// Problems with random operands, and products to hold kernels to: sampled entries, in binary64.

#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "matmul/block_gemm.hpp"
#include "matmul/gemm_launch.cuh"
#include "matmul/int8_gemm.hpp"
#include "matmul/operands.hpp"
#include "matmul/quantize_activations.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {

enum class CodeKind : std::uint8_t { int8, e4m3 };
enum class Scales : std::uint8_t { none, rows, blocks };

__device__ inline std::uint32_t mix(std::uint32_t x) {
  x ^= x >> 16;
  x *= 0x7FEB352DU;
  x ^= x >> 15;
  x *= 0x846CA68BU;
  return x ^ x >> 16;
}

__global__ void fill_codes(std::uint8_t* codes, std::uint64_t n, CodeKind kind, std::uint32_t seed) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const std::uint32_t random = mix(static_cast<std::uint32_t>(i) ^ mix(seed));
    std::uint8_t code = static_cast<std::uint8_t>(random);
    if (kind == CodeKind::e4m3 && (code & 0x7F) == 0x7F) code = 0;  // NaN
    codes[i] = code;
  }
}

__global__ void fill_activations(std::uint16_t* values, std::uint64_t n) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const std::uint32_t random = mix(static_cast<std::uint32_t>(i));
    // Of magnitudes around 1.
    values[i] = static_cast<std::uint16_t>((random & 0x8000U) | (0x3F00U + (random & 0xFFU)));
  }
}

__global__ void fill_floats(float* values, std::uint64_t n, std::uint32_t seed) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    values[i] = (1.0F + static_cast<float>(mix(static_cast<std::uint32_t>(i) ^ mix(seed)) >> 8) * 0x1p-24F) * 0.01F;
  }
}

__device__ inline double value_of(std::uint8_t code, CodeKind kind) {
  if (kind == CodeKind::int8) return static_cast<std::int8_t>(code);
  __nv_fp8_e4m3 value;
  value.__x = code;
  return static_cast<double>(static_cast<float>(value));
}

/// What an entry of y should be, and the sum of the magnitudes of its terms.
struct Entry {
  std::uint32_t row;
  std::uint32_t column;
  double value;
  double magnitude;
  std::uint16_t found;
};

struct Operands {
  MatmulShape shape;
  CodeKind kind;
  const std::uint8_t* x;
  const std::uint8_t* w;
  const float* x_scales;
  const float* w_scales;
  const float* bias;
  const std::uint16_t* y;
};

__global__ void compute_entries(Operands o, Scales scales, Entry* entries) {
  Entry& entry = entries[blockIdx.x];
  double sum = 0;
  double magnitude = 0;
  const std::uint64_t n_runs = (o.shape.k + 127) / 128;
  for (std::uint64_t k = threadIdx.x; k < o.shape.k; k += 32) {
    double term = value_of(o.x[entry.row * o.shape.k + k], o.kind) * value_of(o.w[entry.column * o.shape.k + k], o.kind);
    if (scales == Scales::rows) {
      term *= static_cast<double>(o.x_scales[entry.row]) * static_cast<double>(o.w_scales[entry.column]);
    } else {
      term *= static_cast<double>(o.x_scales[k / 128 * o.shape.m + entry.row]) *
              static_cast<double>(o.w_scales[entry.column / 128 * n_runs + k / 128]);
    }
    sum += term;
    magnitude += fabs(term);
  }
  for (int lane = 16; lane > 0; lane /= 2) {
    sum += __shfl_xor_sync(~0U, sum, lane);
    magnitude += __shfl_xor_sync(~0U, magnitude, lane);
  }
  if (threadIdx.x != 0) return;
  entry.value = sum + static_cast<double>(o.bias[entry.column]);
  entry.magnitude = magnitude + fabs(static_cast<double>(o.bias[entry.column]));
  entry.found = o.y[entry.row * o.shape.n + entry.column];
}

__global__ void count_differences(const std::uint32_t* a, const std::uint32_t* b, std::uint64_t n, unsigned long long* found) {
  for (std::uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    if (a[i] != b[i] && atomicAdd(found, 1ULL) == 0) found[1] = i;
  }
}

struct Comparison {
  bool right = true;
  double worst = 0;  ///< largest error beyond the rounding to BF16, in units of the sum of magnitudes
};

class Problem {
 public:
  Problem(const MatmulShape& s, CodeKind kind, cudaStream_t stream) : shape(s), kind_(kind) {
    x_ = make<std::uint8_t>(s.m * s.k);
    w_ = make<std::uint8_t>(s.n * s.k);
    y_ = make<std::uint16_t>(s.m * s.n);
    const std::uint64_t runs = (s.k + 127) / 128;
    const std::uint64_t n_x = s.m * runs;
    const std::uint64_t n_w = std::max(s.n, (s.n + 127) / 128 * runs);
    fill_codes<<<1024, 256, 0, stream>>>(x_, s.m * s.k, kind, 1);
    fill_codes<<<1024, 256, 0, stream>>>(w_, s.n * s.k, kind, 2);
    x_scales = fill(n_x, 3, stream);
    w_scales = fill(n_w, 4, stream);
    bias = fill(s.n, 5, stream);
    activations = make<std::uint16_t>(s.m * s.k);
    fill_activations<<<1024, 256, 0, stream>>>(activations, s.m * s.k);
    other_codes = make<std::uint8_t>(s.m * s.k);
    other_scales = fill(n_x, 6, stream);
    check(cudaStreamSynchronize(stream), "make a problem");
  }
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;
  ~Problem() {
    for (void* data : memory_) cudaFree(data);
  }

  [[nodiscard]] matmul::GemmMatrices matrices() const { return {shape, x_, w_, y_}; }
  [[nodiscard]] const std::uint8_t* codes() const { return x_; }
  [[nodiscard]] Activations to_quantize() const { return {activations, shape.m, shape.k, other_codes, shape.k}; }
  [[nodiscard]] Int8Gemm int8(const std::uint8_t* x, const float* scales) const {
    return {
        shape, reinterpret_cast<const std::int8_t*>(x), reinterpret_cast<const std::int8_t*>(w_), {scales, true}, {w_scales, true}, bias,
        y_};
  }
  [[nodiscard]] BlockGemm blocks(const std::uint8_t* x, const float* scales) const {
    return {shape, x, w_, {scales, 1, shape.m}, w_scales, bias, y_};
  }
  [[nodiscard]] BlockGemm blocks(const std::uint8_t* x) const { return blocks(x, x_scales); }
  [[nodiscard]] double operations() const {
    return 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k);
  }
  void clear(cudaStream_t stream) const { check(cudaMemsetAsync(y_, 0xFF, shape.m * shape.n * 2, stream), "clear"); }

  /// Compares entries all over y, corners among them.
  [[nodiscard]] Comparison compare(Scales scales, cudaStream_t stream) const {
    constexpr std::uint32_t kEntries = 8192;
    std::vector<Entry> entries(kEntries);
    std::uint64_t state = 12345;
    const auto below = [&state](std::uint64_t limit) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      return static_cast<std::uint32_t>((state >> 33) % limit);
    };
    for (Entry& entry : entries) entry = {below(shape.m), below(shape.n), 0, 0, 0};
    const auto last_row = static_cast<std::uint32_t>(shape.m - 1);
    const auto last_column = static_cast<std::uint32_t>(shape.n - 1);
    entries[0] = {0, 0, 0, 0, 0};
    entries[1] = {last_row, last_column, 0, 0, 0};
    entries[2] = {0, last_column, 0, 0, 0};
    entries[3] = {last_row, 0, 0, 0, 0};
    Entry* on_device = nullptr;
    check(cudaMalloc(&on_device, kEntries * sizeof(Entry)), "allocate");
    check(cudaMemcpyAsync(on_device, entries.data(), kEntries * sizeof(Entry), cudaMemcpyHostToDevice, stream), "copy");
    compute_entries<<<kEntries, 32, 0, stream>>>({shape, kind_, x_, w_, x_scales, w_scales, bias, y_}, scales, on_device);
    check(cudaStreamSynchronize(stream), "compute entries");
    check(cudaMemcpy(entries.data(), on_device, kEntries * sizeof(Entry), cudaMemcpyDeviceToHost), "copy");
    cudaFree(on_device);
    Comparison result;
    for (const Entry& entry : entries) {
      const std::uint32_t bits = static_cast<std::uint32_t>(entry.found) << 16;
      const double found = static_cast<double>(__builtin_bit_cast(float, bits));
      const double beyond = std::fabs(found - entry.value) - std::fabs(entry.value) * 0x1p-8;
      const double relative = beyond < 0 ? 0.0 : beyond / entry.magnitude;
      if (!(relative <= result.worst)) result.worst = relative;
      // Exact but for roundings of binary32 in INT8; the sums of E4M3 keep about 13 bits below their largest term.
      if (!(relative <= (kind_ == CodeKind::int8 ? 0x1p-20 : 0x1p-10))) result.right = false;
    }
    return result;
  }

  /// Keeps y, to be compared with later ones.
  void keep(cudaStream_t stream) {
    if (kept_ == nullptr) kept_ = make<std::uint16_t>(shape.m * shape.n + 16);
    check(cudaMemcpyAsync(kept_, y_, shape.m * shape.n * 2, cudaMemcpyDeviceToDevice, stream), "copy");
  }

  /// Pairs of elements of y that are not as those kept; prints where the first found is.
  [[nodiscard]] std::uint64_t differences(cudaStream_t stream) {
    if (counts_ == nullptr) counts_ = make<unsigned long long>(2);
    check(cudaMemsetAsync(counts_, 0, 16, stream), "clear");
    const std::uint64_t n = shape.m * shape.n / 2;
    count_differences<<<1024, 256, 0, stream>>>(reinterpret_cast<const std::uint32_t*>(kept_), reinterpret_cast<const std::uint32_t*>(y_),
                                                n, counts_);
    unsigned long long found[2] = {};
    check(cudaMemcpyAsync(found, counts_, 16, cudaMemcpyDeviceToHost, stream), "copy");
    check(cudaStreamSynchronize(stream), "compare");
    if (found[0] > 0)
      std::printf("%llu pairs differ, among them that at row %llu, column %llu\n", found[0], found[1] * 2 / shape.n,
                  found[1] * 2 % shape.n);
    return found[0];
  }

  MatmulShape shape;
  float* x_scales = nullptr;
  float* w_scales = nullptr;
  float* bias = nullptr;
  std::uint16_t* activations = nullptr;  ///< BF16, of the shape of x
  std::uint8_t* other_codes = nullptr;   ///< room for theirs
  float* other_scales = nullptr;

 private:
  template <class T>
  T* make(std::uint64_t n) {
    void* data = nullptr;
    check_allocation(cudaMalloc(&data, n * sizeof(T)), n * sizeof(T), "operands");
    memory_.push_back(data);
    return static_cast<T*>(data);
  }
  float* fill(std::uint64_t n, std::uint32_t seed, cudaStream_t stream) {
    float* values = make<float>(n);
    fill_floats<<<256, 256, 0, stream>>>(values, n, seed);
    return values;
  }

  CodeKind kind_;
  std::vector<void*> memory_;
  std::uint8_t* x_ = nullptr;
  std::uint8_t* w_ = nullptr;
  std::uint16_t* y_ = nullptr;
  std::uint16_t* kept_ = nullptr;
  unsigned long long* counts_ = nullptr;
};

}  // namespace halftone::cuda
