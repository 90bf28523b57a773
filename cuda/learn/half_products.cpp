#include "learn/half_products.hpp"

namespace halftone::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = 32 << 20;

}  // namespace

HalfProducts::HalfProducts(cudaStream_t stream) : stream_(stream), workspace_(kWorkspaceBytes, stream) {
  check(library_.Create(&handle_), "start cuBLASLt");
}

HalfProducts::~HalfProducts() { library_.Destroy(handle_); }

std::unique_ptr<HalfProducts::Plan> HalfProducts::plan(const HalfProduct& product) const { return std::make_unique<Plan>(*this, product); }

HalfProducts::Plan::Plan(const HalfProducts& products, const HalfProduct& product) : products_(products), product_(product) {
  try {
    const CublasLt& lt = products_.library_;
    check(lt.MatmulDescCreate(&description_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "describe a product");
    // cuBLASLt has its matrices column by column, so that it sees the transposes of ours: outᵀ = (bᵀ)ᵀ aᵀ.
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check(lt.MatmulDescSetAttribute(description_, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed), "describe a product");
    b_ = layout(CUDA_R_16F, product.columns, product.inner);
    a_ = layout(CUDA_R_16F, product.rows, product.inner);
    out_ = layout(product.out_is_half ? CUDA_R_16F : CUDA_R_32F, product.rows, product.columns);
    choose_algorithm();
  } catch (...) {
    destroy();
    throw;
  }
}

HalfProducts::Plan::~Plan() { destroy(); }

void HalfProducts::Plan::destroy() noexcept {
  const CublasLt& lt = products_.library_;
  for (const cublasLtMatrixLayout_t layout : {a_, b_, out_}) {
    if (layout != nullptr) lt.MatrixLayoutDestroy(layout);
  }
  if (description_ != nullptr) lt.MatmulDescDestroy(description_);
}

cublasLtMatrixLayout_t HalfProducts::Plan::layout(cudaDataType type, std::uint64_t rows, std::uint64_t columns) const {
  cublasLtMatrixLayout_t layout = nullptr;
  check(products_.library_.MatrixLayoutCreate(&layout, type, columns, rows, static_cast<std::int64_t>(columns)), "describe a matrix");
  return layout;
}

void HalfProducts::Plan::choose_algorithm() {
  const CublasLt& lt = products_.library_;
  cublasLtMatmulPreference_t preference = nullptr;
  check(lt.MatmulPreferenceCreate(&preference), "choose how to multiply");
  const std::size_t workspace = kWorkspaceBytes;
  cublasStatus_t status =
      lt.MatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  if (status == CUBLAS_STATUS_SUCCESS) {
    status = lt.MatmulAlgoGetHeuristic(products_.handle_, description_, b_, a_, out_, out_, preference, 1, &result, &found);
  }
  lt.MatmulPreferenceDestroy(preference);
  check(found == 0 && status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status, "choose how to multiply");
  algorithm_ = result.algo;
}

void HalfProducts::Plan::compute() const {
  const float zero = 0;
  check(products_.library_.Matmul(products_.handle_, description_, &product_.factor, product_.b, b_, product_.a, a_, &zero, product_.out,
                                  out_, product_.out, out_, &algorithm_, products_.workspace_.data(), kWorkspaceBytes, products_.stream_),
        "multiply matrices");
}

}  // namespace halftone::cuda
