#pragma once

#include <map>
#include <memory>
#include <tuple>

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
  ~Products();

  void multiply(const learn::Product& product);

 private:
  struct Call;
  /// All that decides how a product is computed: its extents, strides, transpositions, alignments and precision.
  using Shape = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint32_t,
                           std::uint32_t, std::uint32_t, unsigned>;

  [[nodiscard]] const cublasLtMatmulAlgo_t& algorithm_for(const Shape& shape, const Call& call);

  std::shared_ptr<const CublasLt> library_;
  cudaStream_t stream_;
  cublasLtHandle_t handle_ = nullptr;
  DeviceBuffer workspace_;
  std::map<Shape, cublasLtMatmulAlgo_t> algorithms_;
};

}  // namespace halftone::cuda
