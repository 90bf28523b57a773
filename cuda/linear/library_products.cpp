#include "linear/library_products.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>
#include <vector>

#include "base/fail.hpp"
#include "runtime/event.hpp"

namespace halftone::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = 64 << 20;
/// Suggestions that are timed.
constexpr int kMostAlgorithms = 16;
/// The time that each is measured for, in seconds, and the most runs of it.
constexpr double kTimedSeconds = 1e-3;
constexpr int kMostRuns = 40;

std::int32_t mode_of(Scaling scaling) {
  switch (scaling) {
    case Scaling::none:
    case Scaling::tensor: return CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F;
    case Scaling::rows: return CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
    case Scaling::runs_128: return CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F;
    case Scaling::blocks_128: return CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F;
    case Scaling::runs_32: return CUBLASLT_MATMUL_MATRIX_SCALE_VEC32_UE8M0;
    case Scaling::runs_16: return CUBLASLT_MATMUL_MATRIX_SCALE_VEC16_UE4M3;
  }
  fail(ErrorKind::internal, "an unknown scaling of an operand");
}

}  // namespace

/// All that decides how a product is computed.
struct LibraryProducts::Key {
  int device;
  std::uint64_t m, n, k;
  std::array<int, 3> types;
  std::array<Scaling, 2> scalings;
  bool bias, alpha;
  std::array<std::uint32_t, 3> alignments;

  auto operator<=>(const Key&) const = default;
};

/// What was found for each shape; nothing where there is no algorithm.
struct LibraryProducts::Choices {
  std::mutex mutex;
  std::map<Key, std::optional<cublasLtMatmulAlgo_t>> of;
};

LibraryProducts::Choices& LibraryProducts::choices() {
  static Choices all;
  return all;
}

/// The descriptions of one product.  cuBLASLt has its matrices column by column, so that it sees the transposes of ours:
/// yᵀ = w xᵀ, the same memory.
struct LibraryProducts::Call {
  Call(const CublasLt& lt, const LibraryProduct& p) : library(lt), integers(p.y_type == CUDA_R_32I) {
    check(library.MatmulDescCreate(&description, integers ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F, integers ? CUDA_R_32I : CUDA_R_32F),
          "describe a product");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    describe(p.w, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
    describe(p.x, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER);
    if (p.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
      set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_16BF);
    }
    // Sums as the tensor cores make them.  Their errors are some hundredths of what the codes have lost already.
    if (p.x.scaling == Scaling::tensor || p.x.scaling == Scaling::rows) set(CUBLASLT_MATMUL_DESC_FAST_ACCUM, std::int8_t{1});
    if (p.alpha != nullptr) set(CUBLASLT_MATMUL_DESC_POINTER_MODE, CUBLASLT_POINTER_MODE_DEVICE);
    w = layout_of(p.w.type, p.k, p.n);
    x = layout_of(p.x.type, p.k, p.m);
    y = layout_of(p.y_type, p.n, p.m);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    for (const cublasLtMatrixLayout_t layout : {w, x, y}) {
      if (layout != nullptr) library.MatrixLayoutDestroy(layout);
    }
    if (description != nullptr) library.MatmulDescDestroy(description);
  }

  template <class T>
  void set(cublasLtMatmulDescAttributes_t which, const T& value) const {
    check(library.MatmulDescSetAttribute(description, which, &value, sizeof value), "describe a product");
  }
  void describe(const Operand& operand, cublasLtMatmulDescAttributes_t mode, cublasLtMatmulDescAttributes_t pointer) const {
    if (operand.scaling == Scaling::none) return;
    // Not known to older libraries, which have the default alone.
    if (operand.scaling != Scaling::tensor) set(mode, mode_of(operand.scaling));
    set(pointer, operand.scales);
  }
  [[nodiscard]] cublasLtMatrixLayout_t layout_of(cudaDataType_t type, std::uint64_t rows, std::uint64_t columns) const {
    cublasLtMatrixLayout_t layout = nullptr;
    check(library.MatrixLayoutCreate(&layout, type, rows, columns, static_cast<std::int64_t>(rows)), "describe a matrix");
    return layout;
  }

  const CublasLt& library;
  bool integers;
  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t w = nullptr;
  cublasLtMatrixLayout_t x = nullptr;
  cublasLtMatrixLayout_t y = nullptr;
};

LibraryProducts::LibraryProducts(cudaStream_t stream)
    : library_(std::make_unique<const CublasLt>("a matrix product on a GPU")), stream_(stream), workspace_(kWorkspaceBytes, stream) {
  check(cudaGetDevice(&device_), "ask for the current device");
  check(library_->Create(&handle_), "start cuBLASLt");
}

LibraryProducts::~LibraryProducts() {
  if (handle_ != nullptr) library_->Destroy(handle_);
}

/// Returns the status.
std::uint64_t LibraryProducts::run(const Call& call, const LibraryProduct& p, const cublasLtMatmulAlgo_t& algorithm) const {
  constexpr float one = 1.0F;
  constexpr float zero = 0.0F;
  constexpr std::int32_t one_integer = 1;
  constexpr std::int32_t zero_integer = 0;
  const void* alpha = call.integers ? static_cast<const void*>(&one_integer) : &one;
  const void* beta = call.integers ? static_cast<const void*>(&zero_integer) : &zero;
  if (p.alpha != nullptr) {
    alpha = p.alpha;
    beta = p.alpha + 1;
  }
  return library_->Matmul(handle_, call.description, alpha, p.w.data, call.w, p.x.data, call.x, beta, p.y, call.y, p.y, call.y, &algorithm,
                          workspace_.data(), kWorkspaceBytes, stream_);
}

/// Times what the library suggests; false where it suggests nothing that runs.
bool LibraryProducts::fastest(const Call& call, const LibraryProduct& p, cublasLtMatmulAlgo_t& best) {
  cublasLtMatmulPreference_t preference = nullptr;
  check(library_->MatmulPreferenceCreate(&preference), "choose how to multiply");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t which, const auto& value) {
    check(library_->MatmulPreferenceSetAttribute(preference, which, &value, sizeof value), "choose how to multiply");
  };
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
  // Parts of a sum that lie in memory keep all of their bits; in the type of the outputs they would lose most.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.w.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.x.data));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(p.y));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.y));
  std::array<cublasLtMatmulHeuristicResult_t, kMostAlgorithms> suggested{};
  int found = 0;
  const cublasStatus_t status = library_->MatmulAlgoGetHeuristic(handle_, call.description, call.w, call.x, call.y, call.y, preference,
                                                                 kMostAlgorithms, suggested.data(), &found);
  library_->MatmulPreferenceDestroy(preference);
  if (status != CUBLAS_STATUS_SUCCESS) return false;
  double least = std::numeric_limits<double>::infinity();
  Event begin;
  Event end;
  const auto time = [&](const cublasLtMatmulAlgo_t& algorithm, int runs) {
    begin.record(stream_);
    for (int i = 0; i < runs; ++i) (void)run(call, p, algorithm);
    end.record(stream_);
    end.synchronize();
    return end.seconds_since(begin) / runs;
  };
  for (int i = 0; i < found; ++i) {
    const cublasLtMatmulAlgo_t& algorithm = suggested[static_cast<std::size_t>(i)].algo;
    if (suggested[static_cast<std::size_t>(i)].state != CUBLAS_STATUS_SUCCESS || run(call, p, algorithm) != CUBLAS_STATUS_SUCCESS) continue;
    const double once = time(algorithm, 1);
    const int runs = std::clamp(static_cast<int>(kTimedSeconds / once), 2, kMostRuns);
    const double seconds = std::min(time(algorithm, runs), time(algorithm, runs));
    if (seconds >= least) continue;
    least = seconds;
    best = algorithm;
  }
  return least < std::numeric_limits<double>::infinity();
}

bool LibraryProducts::multiply(const LibraryProduct& p) {
  if (p.m == 0 || p.n == 0) return true;
  const Call call(*library_, p);
  const Key key{device_,
                p.m,
                p.n,
                p.k,
                {p.w.type, p.x.type, p.y_type},
                {p.w.scaling, p.x.scaling},
                p.bias != nullptr,
                p.alpha != nullptr,
                {alignment_of(p.w.data), alignment_of(p.x.data), alignment_of(p.y)}};
  cublasLtMatmulAlgo_t algorithm{};
  {
    const std::lock_guard lock(choices().mutex);
    auto found = choices().of.find(key);
    if (found == choices().of.end()) {
      std::optional<cublasLtMatmulAlgo_t> chosen;
      if (fastest(call, p, algorithm)) chosen = algorithm;
      found = choices().of.emplace(key, chosen).first;
    }
    if (!found->second) return false;
    algorithm = *found->second;
  }
  check(static_cast<cublasStatus_t>(run(call, p, algorithm)), "multiply matrices");
  return true;
}

}  // namespace halftone::cuda
