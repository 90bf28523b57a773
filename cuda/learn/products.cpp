#include "learn/products.hpp"

#include <algorithm>

namespace halftone::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = 32 << 20;

}  // namespace

// cuBLASLt has its matrices column by column, so that it sees the transposes of ours: cᵀ = op(b)ᵀ op(a)ᵀ, the same memory.

struct Products::Call {
  template <class T>
  using Owned = std::unique_ptr<T, cublasStatus_t (*)(T*)>;
  using Layout = Owned<cublasLtMatrixLayoutOpaque_t>;

  Call(const CublasLt& library, const learn::Product& p)
      : description(describe(library, p)), a(layout_of(library, p.a)), b(layout_of(library, p.b)), c(layout_of(library, p.c)) {}

  static Owned<cublasLtMatmulDescOpaque_t> describe(const CublasLt& library, const learn::Product& p) {
    cublasLtMatmulDesc_t made = nullptr;
    const bool may_round = !p.full_precision && p.a.element == learn::Element::single;
    const cublasComputeType_t compute = may_round ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    check(library.MatmulDescCreate(&made, compute, CUDA_R_32F), "describe a product");
    Owned<cublasLtMatmulDescOpaque_t> description(made, library.MatmulDescDestroy);
    const auto set_transposed = [&](cublasLtMatmulDescAttributes_t which, bool transposed) {
      const cublasOperation_t operation = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
      check(library.MatmulDescSetAttribute(made, which, &operation, sizeof operation), "describe a product");
    };
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_b);
    set_transposed(CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_a);
    return description;
  }
  static Layout layout_of(const CublasLt& library, const learn::Matrix& matrix) {
    cublasLtMatrixLayout_t made = nullptr;
    const cudaDataType type = matrix.element == learn::Element::half ? CUDA_R_16F : CUDA_R_32F;
    check(library.MatrixLayoutCreate(&made, type, matrix.columns, matrix.rows, static_cast<std::int64_t>(matrix.stride)),
          "describe a matrix");
    return {made, library.MatrixLayoutDestroy};
  }

  Owned<cublasLtMatmulDescOpaque_t> description;
  Layout a;
  Layout b;
  Layout c;
  cublasLtMatmulAlgo_t algorithm{};
};

Products::Products(cudaStream_t stream) : library_(std::make_shared<const CublasLt>("learned rounding on a GPU")), stream_(stream) {
  cublasLtHandle_t handle = nullptr;
  check(library_->Create(&handle), "start cuBLASLt");
  handle_ = {handle, library_->Destroy};
}

void Products::choose_algorithm(const Shape& shape, Call& call) const {
  cublasLtMatmulPreference_t made = nullptr;
  check(library_->MatmulPreferenceCreate(&made), "choose how to multiply");
  const Call::Owned<cublasLtMatmulPreferenceOpaque_t> preference(made, library_->MatmulPreferenceDestroy);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t which, const auto& value) {
    check(library_->MatmulPreferenceSetAttribute(made, which, &value, sizeof value), "choose how to multiply");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, shape.alignment_b);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, shape.alignment_a);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, shape.alignment_c);
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, shape.alignment_c);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status = library_->MatmulAlgoGetHeuristic(handle_.get(), call.description.get(), call.b.get(), call.a.get(),
                                                                 call.c.get(), call.c.get(), made, 1, &result, &found);
  check(found == 0 && status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status, "choose how to multiply");
  call.algorithm = result.algo;
}

const Products::Call& Products::call_for(const learn::Product& product) {
  const Shape shape = shape_of(product);
  if (const auto found = calls_.find(shape); found != calls_.end()) return *found->second;
  const auto call = std::make_shared<Call>(*library_, product);
  choose_algorithm(shape, *call);
  return *calls_.emplace(shape, call).first->second;
}

Products::Shape Products::shape_of(const learn::Product& p) {
  return {.rows = p.c.rows,
          .columns = p.c.columns,
          .inner = p.transpose_a ? p.a.rows : p.a.columns,
          .stride_a = p.a.stride,
          .stride_b = p.b.stride,
          .stride_c = p.c.stride,
          .alignment_a = alignment_of(p.a.data),
          .alignment_b = alignment_of(p.b.data),
          .alignment_c = p.added.data != nullptr ? std::min(alignment_of(p.added.data), alignment_of(p.c.data)) : alignment_of(p.c.data),
          .factors = p.a.element,
          .result = p.c.element,
          .transpose_a = p.transpose_a,
          .transpose_b = p.transpose_b,
          .adds = p.beta != 0.0F,
          .full_precision = p.full_precision};
}

void Products::choose(const learn::Product& product) { (void)call_for(product); }

void Products::multiply(const learn::Product& p) {
  if (p.c.rows == 0 || p.c.columns == 0) return;
  if (workspace_.size() == 0) workspace_ = DeviceBuffer(kWorkspaceBytes, stream_);
  const Call& call = call_for(p);
  const learn::Matrix& added = p.added.data != nullptr ? p.added : p.c;
  const float alpha = p.alpha * (p.c.unit / (p.a.unit * p.b.unit));
  const float beta = p.beta * (p.c.unit / added.unit);
  check(library_->Matmul(handle_.get(), call.description.get(), &alpha, p.b.data, call.b.get(), p.a.data, call.a.get(), &beta, added.data,
                         call.c.get(), p.c.data, call.c.get(), &call.algorithm, workspace_.data(), kWorkspaceBytes, stream_),
        "multiply matrices");
}

}  // namespace halftone::cuda
