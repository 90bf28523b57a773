#pragma once

#include <compare>
#include <map>
#include <memory>

#include "learn/engine.hpp"
#include "runtime/cublas_lt.hpp"
#include "runtime/device_buffer.hpp"

namespace halftone::cuda {

/// Products of matrices with cuBLASLt, in one stream.
class Products {
 public:
  /// Opens the library.  Throws device where it is not there.
  explicit Products(cudaStream_t stream);
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  void multiply(const learn::Product& product);
  /// Chooses how products of this shape are computed, as the first multiply() of them does: only the alignment of
  /// their addresses is looked at.
  void choose(const learn::Product& product);

 private:
  /// All that decides how a product is computed.
  struct Shape {
    std::uint64_t rows, columns, inner;
    std::uint64_t stride_a, stride_b, stride_c;
    std::uint32_t alignment_a, alignment_b, alignment_c;  ///< bytes, up to 256
    learn::Element factors, result;
    bool transpose_a, transpose_b, adds, full_precision;

    auto operator<=>(const Shape&) const = default;
  };
  /// The descriptions of the products of a shape, and the algorithm that was chosen for them.
  struct Call;

  [[nodiscard]] static Shape shape_of(const learn::Product& product);
  [[nodiscard]] const Call& call_for(const learn::Product& product);
  void choose_algorithm(const Shape& shape, Call& call) const;

  std::shared_ptr<const CublasLt> library_;
  cudaStream_t stream_;
  std::shared_ptr<cublasLtContext> handle_;
  DeviceBuffer workspace_;  ///< from the first product on
  std::map<Shape, std::shared_ptr<const Call>> calls_;
};

}  // namespace halftone::cuda
