#pragma once

// Products with random operands.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "check_product.cuh"
#include "linear/activation_launches.hpp"
#include "matmul/block_gemm.hpp"
#include "matmul/gemm_launch.cuh"
#include "matmul/quantize_activations.hpp"
#include "matmul/row_gemm.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {

struct Comparison {
  bool right = true;
  double worst = 0;  ///< largest error beyond the rounding to BF16, in units of the sum of magnitudes
  double root = 0;   ///< root of the mean square of errors, in units of that of the entries
  double drift = 0;  ///< how much too large entries are on average, in units of their average magnitude
};

/// Operands of one shape, on the device, and their product.
class Problem {
 public:
  Problem(const MatmulShape& s, CodeKind kind, cudaStream_t stream, bool bell = false) : shape(s), kind_(kind) {
    x_ = make<std::uint8_t>(s.m * s.k);
    w_ = make<std::uint8_t>(s.n * s.k);
    y_ = make<std::uint16_t>(s.m * s.n);
    const std::uint64_t runs = (s.k + 127) / 128;
    const std::uint64_t n_x = s.m * runs;
    const std::uint64_t n_w = std::max(s.n, (s.n + 127) / 128 * runs);
    const auto fill_with = bell ? fill_bell : fill_codes;
    fill_with<<<1024, 256, 0, stream>>>(x_, s.m * s.k, kind, 1);
    fill_with<<<1024, 256, 0, stream>>>(w_, s.n * s.k, kind, 2);
    x_scales = fill(n_x, 3, stream);
    w_scales = fill(n_w, 4, stream);
    bias = fill(s.n, 5, stream);
    activations = make<std::uint16_t>(s.m * s.k);
    fill_activations<<<1024, 256, 0, stream>>>(activations, s.m * s.k);
    other_codes = make<std::uint8_t>(s.m * s.k);
    other_scales = fill(n_x, 6, stream);
    word = make<std::uint32_t>(1);
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
  void quantize_rows_int8(cudaStream_t stream) const {
    launch_int8_rows({activations, shape.m, shape.k}, 0, false, nullptr, other_codes, other_scales, word, stream);
  }
  [[nodiscard]] RowGemm rows(const std::uint8_t* x, const float* scales) const {
    return {shape, x, w_, {scales, true}, {w_scales, true}, bias, y_};
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
    double squares = 0;
    double of_errors = 0;
    double sum = 0;
    double of_drifts = 0;
    for (const Entry& entry : entries) {
      const std::uint32_t bits = static_cast<std::uint32_t>(entry.found) << 16;
      const double found = static_cast<double>(__builtin_bit_cast(float, bits));
      squares += entry.value * entry.value;
      of_errors += (found - entry.value) * (found - entry.value);
      sum += std::fabs(entry.value);
      of_drifts += (found - entry.value) * (entry.value < 0 ? -1 : 1);
      const double beyond = std::fabs(found - entry.value) - std::fabs(entry.value) * 0x1p-8;
      const double relative = beyond < 0 ? 0.0 : beyond / entry.magnitude;
      if (!(relative <= result.worst)) result.worst = relative;
      // Exact but for roundings of binary32 in INT8; the sums of E4M3 keep about 13 bits below their largest term.
      if (!(relative <= (kind_ == CodeKind::int8 ? 0x1p-20 : 0x1p-10))) result.right = false;
    }
    result.root = std::sqrt(of_errors / squares);
    result.drift = of_drifts / sum;
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
  std::uint32_t* word = nullptr;

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
