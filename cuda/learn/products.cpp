#include "learn/products.hpp"

#include <algorithm>
#include <bit>
#include <string>

#include "learn/product_library.hpp"

namespace halftone::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = 32 << 20;

/// The largest power of two, up to 256, that divides an address.
std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return std::min(256U, 1U << std::min(std::countr_zero(address), 8));
}

}  // namespace

struct Products::Library : ProductLibrary {};

/// The descriptions of one product.  cuBLASLt has its matrices column by column, so that it sees the transposes of ours:
/// cᵀ = op(b)ᵀ op(a)ᵀ, the same memory.
struct Products::Call {
  Call(const Library& lt, const learn::Product& p) : library(lt) {
    const cublasComputeType_t compute = p.full_precision ? CUBLAS_COMPUTE_32F : CUBLAS_COMPUTE_32F_FAST_TF32;
    check(library.MatmulDescCreate(&description, compute, CUDA_R_32F), "describe a product");
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b);
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a);
    b = layout_of(p.b);
    a = layout_of(p.a);
    c = layout_of(p.c);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    for (const cublasLtMatrixLayout_t layout : {a, b, c}) {
      if (layout != nullptr) library.MatrixLayoutDestroy(layout);
    }
    if (description != nullptr) library.MatmulDescDestroy(description);
  }

  void set_transposed(cublasLtMatmulDescAttributes_t which, bool transposed) const {
    const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(library.MatmulDescSetAttribute(description, which, &operation, sizeof operation), "describe a product");
  }
  [[nodiscard]] cublasLtMatrixLayout_t layout_of(const learn::Matrix& matrix) const {
    cublasLtMatrixLayout_t layout = nullptr;
    check(library.MatrixLayoutCreate(&layout, CUDA_R_32F, matrix.columns, matrix.rows, static_cast<std::int64_t>(matrix.stride)),
          "describe a matrix");
    return layout;
  }

  const Library& library;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t c = nullptr;
};

Products::Products(cudaStream_t stream) : library_(std::make_shared<const Library>()), stream_(stream) {
  check(library_->Create(&handle_), "start cuBLASLt");
  workspace_ = DeviceBuffer(kWorkspaceBytes, stream);
}

Products::~Products() {
  if (handle_ != nullptr) library_->Destroy(handle_);
}

const cublasLtMatmulAlgo_t& Products::algorithm_for(const Shape& shape, const Call& call) {
  if (const auto found = algorithms_.find(shape); found != algorithms_.end()) return found->second;
  cublasLtMatmulPreference_t preference = nullptr;
  check(library_->MatmulPreferenceCreate(&preference), "choose how to multiply");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t which, const auto& value) {
    check(library_->MatmulPreferenceSetAttribute(preference, which, &value, sizeof value), "choose how to multiply");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::get<6>(shape));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, std::get<7>(shape));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, std::get<8>(shape));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, std::get<8>(shape));
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status =
      library_->MatmulAlgoGetHeuristic(handle_, call.description, call.b, call.a, call.c, call.c, preference, 1, &result, &found);
  library_->MatmulPreferenceDestroy(preference);
  check(found == 0 && status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status, "choose how to multiply");
  return algorithms_.emplace(shape, result.algo).first->second;
}

void Products::multiply(const learn::Product& p) {
  if (p.c.rows == 0 || p.c.columns == 0) return;
  const Call call(*library_, p);
  const std::uint64_t inner = p.transpose_a ? p.a.rows : p.a.columns;
  const unsigned flags = (p.transpose_a ? 1U : 0U) | (p.transpose_b ? 2U : 0U) | (p.full_precision ? 4U : 0U) | (p.beta != 0.0F ? 8U : 0U);
  const Shape shape{p.c.rows,
                    p.c.columns,
                    inner,
                    p.a.stride,
                    p.b.stride,
                    p.c.stride,
                    alignment_of(p.b.data),
                    alignment_of(p.a.data),
                    alignment_of(p.c.data),
                    flags};
  const cublasLtMatmulAlgo_t& algorithm = algorithm_for(shape, call);
  check(library_->Matmul(handle_, call.description, &p.alpha, p.b.data, call.b, p.a.data, call.a, &p.beta, p.c.data, call.c, p.c.data,
                         call.c, &algorithm, workspace_.data(), kWorkspaceBytes, stream_),
        "multiply matrices");
}

}  // namespace halftone::cuda
