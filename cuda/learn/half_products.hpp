#pragma once

#include <cuda_fp16.h>

#include <cstdint>
#include <memory>

#include "runtime/cublas_lt.hpp"
#include "runtime/device_buffer.hpp"

namespace halftone::cuda {

/// out = factor · a · bᵀ of row-major matrices without gaps, whose inner dimension is a multiple of 8: rows × inner and
/// columns × inner.  Sums are in binary32.
struct HalfProduct {
  const __half* a = nullptr;
  const __half* b = nullptr;
  void* out = nullptr;
  bool out_is_half = true;  ///< else binary32
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint64_t inner = 0;
  float factor = 1.0F;
};

/// Products of binary16 with cuBLASLt that are planned once and then computed many times, in one stream.
class HalfProducts {
 public:
  class Plan;

  /// Opens the library.  Throws device where it is not there.
  explicit HalfProducts(cudaStream_t stream);
  HalfProducts(const HalfProducts&) = delete;
  HalfProducts& operator=(const HalfProducts&) = delete;
  ~HalfProducts();

  /// What must not outlive this.
  [[nodiscard]] std::unique_ptr<Plan> plan(const HalfProduct& product) const;

 private:
  const CublasLt library_{"learned rounding on a GPU"};
  cudaStream_t stream_;
  DeviceBuffer workspace_;
  cublasLtHandle_t handle_ = nullptr;
};

class HalfProducts::Plan {
 public:
  Plan(const HalfProducts& products, const HalfProduct& product);
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  /// Puts the product into the stream.
  void compute() const;

 private:
  [[nodiscard]] cublasLtMatrixLayout_t layout(cudaDataType type, std::uint64_t rows, std::uint64_t columns) const;
  void choose_algorithm();
  void destroy() noexcept;

  const HalfProducts& products_;
  HalfProduct product_;
  cublasLtMatmulDesc_t description_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr;
  cublasLtMatrixLayout_t b_ = nullptr;
  cublasLtMatrixLayout_t out_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_{};
};

}  // namespace halftone::cuda
