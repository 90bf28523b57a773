#pragma once

#include <compare>
#include <cstdint>
#include <memory>

#include "runtime/cublas_lt.hpp"
#include "runtime/device_buffer.hpp"

namespace halftone::cuda {

/// What a scale of an operand belongs to.
enum class Scaling : std::uint8_t {
  none,
  tensor,      ///< one F32
  rows,        ///< an F32 for each row; of both operands or of none
  runs_128,    ///< an F32 for each 128 elements of a row, those of one run for all rows side by side (Hopper)
  blocks_128,  ///< an F32 for each 128 × 128 elements; rows of blocks begin at multiples of 4 (Hopper)
  runs_32,     ///< an E8M0 for each 32 elements, in tiles (formats/swizzle.hpp; Blackwell)
  runs_16,     ///< an E4M3 for each 16 elements, in tiles (Blackwell)
};

/// An operand, rows × k, row-major, on the device; what decides how it is multiplied.
struct Operand {
  cudaDataType_t type;
  Scaling scaling = Scaling::none;
  const void* data = nullptr;
  const void* scales = nullptr;
};

/// y = alpha · x wᵀ + bias: x is m × k, w is n × k, y is m × n, row-major and without gaps.
struct LibraryProduct {
  std::uint64_t m;
  std::uint64_t n;
  std::uint64_t k;
  Operand x;
  Operand w;
  cudaDataType_t y_type;  ///< BF16, F32, or INT32 for INT8 operands
  void* y;
  const void* bias = nullptr;    ///< n elements of BF16, or null
  const float* alpha = nullptr;  ///< two F32 on the device, the factor and a 0; or null for 1
};

/// Products of cuBLASLt in one stream.  For each shape the algorithms that it suggests are timed once in the life of the
/// process, and the fastest is kept: each gives equal sums whenever it runs, but two of them may differ in the last bits.
class LibraryProducts {
 public:
  /// Opens the library.  Throws device where it is not there.
  explicit LibraryProducts(cudaStream_t stream);
  LibraryProducts(const LibraryProducts&) = delete;
  LibraryProducts& operator=(const LibraryProducts&) = delete;
  ~LibraryProducts();

  /// Puts the product into the stream; false, and nothing done, where the library has no algorithm for it.  The first call for
  /// a shape runs it many times and waits; it must not be recorded in a graph.
  [[nodiscard]] bool multiply(const LibraryProduct& product);

 private:
  struct Call;
  struct Key;
  struct Choices;

  [[nodiscard]] std::uint64_t run(const Call& call, const LibraryProduct& product, const cublasLtMatmulAlgo_t& algorithm) const;
  [[nodiscard]] static Choices& choices();
  [[nodiscard]] bool fastest(const Call& call, const LibraryProduct& product, cublasLtMatmulAlgo_t& algorithm);

  std::unique_ptr<const CublasLt> library_;
  cudaStream_t stream_;
  cublasLtHandle_t handle_ = nullptr;
  DeviceBuffer workspace_;
  int device_ = 0;
};

}  // namespace halftone::cuda
