#pragma once

// Operands of matrix products on both sides, and what the products are held to.

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "gpu_test.cuh"
#include "matmul/operands.hpp"
#include "runtime/device_buffer.hpp"

namespace halftone::test {

using namespace halftone::cuda;

/// A product needs Hopper; on another GPU these tests say so.
class Matmul : public GpuTest {
 protected:
  void SetUp() override;
};

/// Elements on both sides.
template <class T>
class Elements {
 public:
  explicit Elements(std::vector<T> host) : host_(std::move(host)), device_(host_.size() * sizeof(T), nullptr) {
    HALFTONE_TEST_CUDA(cudaMemcpy(device_.data(), host_.data(), host_.size() * sizeof(T), cudaMemcpyHostToDevice));
    HALFTONE_TEST_CUDA(cudaStreamSynchronize(nullptr));  // a copy may still be on its way when it returns
  }
  [[nodiscard]] T* device() const { return device_.as<T>(); }
  [[nodiscard]] const T& operator[](std::uint64_t i) const { return host_[i]; }
  void fetch() { HALFTONE_TEST_CUDA(cudaMemcpy(host_.data(), device_.data(), host_.size() * sizeof(T), cudaMemcpyDeviceToHost)); }

 private:
  std::vector<T> host_;
  DeviceBuffer device_;
};

using Random = std::mt19937_64;

template <class T>
Elements<T> elements(std::uint64_t count, const std::function<T()>& make) {
  std::vector<T> values(count);
  for (T& value : values) value = make();
  return Elements<T>(std::move(values));
}

[[nodiscard]] Elements<std::uint8_t> random_codes(std::uint64_t count, Random& random);
/// Positive and negative, from 2^-exponents to 2^exponents.
[[nodiscard]] Elements<float> random_floats(std::uint64_t count, int exponents, Random& random);

/// What FP8 codes of one type stand for, and the nearest of them.
struct Fp8Type {
  float (*decode)(std::uint8_t code);
  std::uint8_t (*encode)(float value);
};
extern const Fp8Type kE4M3;
extern const Fp8Type kE5M2;

/// Codes of -2 to 2 in halves: the products are quarters of at most 4, so that sums of hundreds need 12 bits, and the tensor cores
/// drop none.
[[nodiscard]] Elements<std::uint8_t> short_codes(std::uint64_t count, const Fp8Type& type, Random& random);
/// Codes of normal numbers.
[[nodiscard]] Elements<std::uint8_t> bell_codes(std::uint64_t count, const Fp8Type& type, Random& random);
[[nodiscard]] std::vector<float> decoded(const Elements<std::uint8_t>& codes, std::uint64_t count, const Fp8Type& type);

[[nodiscard]] inline std::uint64_t runs_of(std::uint64_t k) { return (k + kScaleBlock - 1) / kScaleBlock; }

/// Calls check(row, column, element) for elements of y, which `launch` is to fill.
void check_product(const MatmulShape& shape, const std::function<void(std::uint16_t*, cudaStream_t)>& launch,
                   const std::function<void(std::uint64_t, std::uint64_t, std::uint16_t)>& check);
/// Holds y to the BF16 of expected(row, column).
void expect_product(const MatmulShape& shape, const std::function<void(std::uint16_t*, cudaStream_t)>& launch,
                    const std::function<float(std::uint64_t, std::uint64_t)>& expected);

[[nodiscard]] std::int64_t integer_sum(const Elements<std::uint8_t>& x, std::uint64_t from_x, const Elements<std::uint8_t>& w,
                                       std::uint64_t from_w, std::uint64_t count);

/// What a sum of products may be off by.  The tensor cores add the 32 products of a step to the sum before at once; of each
/// term they keep what reaches down to 13 bits below the largest.
struct RoughSum {
  static constexpr std::uint64_t kStep = 32;
  double sum = 0;
  double error = 0;

  void add_step(const float* x, const float* w, std::uint64_t count) {
    double largest = std::fabs(sum);
    for (std::uint64_t i = 0; i < count; ++i) {
      const double product = static_cast<double>(x[i]) * static_cast<double>(w[i]);
      largest = std::max(largest, std::fabs(product));
      sum += product;
    }
    error += static_cast<double>(count + 1) * 0x1p-13 * (largest + error);
  }
};

// Edges of tiles on both sides, rows of y that are not aligned, rows of codes that end within a stage.
inline constexpr MatmulShape kShapes[] = {{1, 1, 16},     {1, 8, 144},     {3, 133, 128},   {64, 64, 512},  {129, 72, 272},
                                          {200, 300, 80}, {257, 520, 400}, {1, 4104, 1040}, {900, 17, 160}, {130, 2056, 96}};

// For which the launch functions choose each of their larger tiles on an H100, with whole tiles, edges and more tiles than
// blocks; the last again with rows of y that are not aligned.
inline constexpr MatmulShape kLargeShapes[] = {{20, 12304, 272}, {700, 3080, 400}, {1100, 3088, 400}, {1100, 3085, 400}};

// Few rows of x.  Of the last four, blocks share out k, two or four on an H100; with edges, and with rows of y that are not
// aligned.
inline constexpr MatmulShape kFewRows[] = {{1, 72, 16},    {16, 136, 1040}, {64, 1040, 2320}, {1, 200, 4112},
                                           {33, 77, 6160}, {65, 264, 8208}, {5, 4600, 8208}};

}  // namespace halftone::test
