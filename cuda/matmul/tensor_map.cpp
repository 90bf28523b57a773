#include "matmul/tensor_map.hpp"

#include "base/fail.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda::matmul {
namespace {

using Encode = decltype(cuTensorMapEncodeTiled);

/// A function of the driver, with which the program is not linked.
Encode* find_encode() {
  constexpr unsigned kVersion = 12000;  // the first that has it
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  check(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, kVersion, cudaEnableDefault, &result),
        "look for a function of the driver");
  if (result != cudaDriverEntryPointSuccess || found == nullptr)
    fail(ErrorKind::device, "the driver has no function cuTensorMapEncodeTiled");
  return reinterpret_cast<Encode*>(found);
}

}  // namespace

CUtensorMap make_tensor_map(const BoxedMatrix& matrix) {
  static Encode* const encode = find_encode();
  constexpr cuuint32_t kDimensions = 2;
  const cuuint64_t sizes[kDimensions] = {matrix.columns, matrix.rows};
  const cuuint64_t strides[kDimensions - 1] = {matrix.row_bytes};
  const cuuint32_t box[kDimensions] = {matrix.box_columns, matrix.box_rows};
  const cuuint32_t steps[kDimensions] = {1, 1};
  CUtensorMap map{};
  const CUresult status =
      encode(&map, matrix.type, kDimensions, const_cast<void*>(matrix.data), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
             matrix.swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) {
    fail(ErrorKind::device, "the driver cannot describe a matrix of {} x {} elements to its copy engine (error {})", matrix.rows,
         matrix.columns, static_cast<int>(status));
  }
  return map;
}

}  // namespace halftone::cuda::matmul
