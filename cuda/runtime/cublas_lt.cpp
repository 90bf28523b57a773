#include "runtime/cublas_lt.hpp"

#include <algorithm>
#include <bit>

#include "base/fail.hpp"
#include "runtime/free_memory.hpp"
#include "toolkit_libraries.hpp"

namespace halftone::cuda {

CublasLt::CublasLt(std::string_view purpose) : file(product_library()) {
  if (!file.problem().empty()) fail(ErrorKind::device, "{} needs cuBLASLt: {}", purpose, file.problem());
#define HALFTONE_CUBLASLT(name)                                     \
  name = file.function<decltype(cublasLt##name)>("cublasLt" #name); \
  if (name == nullptr) fail(ErrorKind::device, "'{}' has no function cublasLt" #name, product_library());
#include "runtime/cublas_lt.def"
#undef HALFTONE_CUBLASLT
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(ErrorKind::device, "CUDA failed to {}: cuBLASLt reports status {}; {}", what, static_cast<int>(status), free_memory());
}

std::uint32_t alignment_of(const void* data) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  return 1U << std::min(std::countr_zero(address), 8);
}

}  // namespace halftone::cuda
