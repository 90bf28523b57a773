#include "learn/product_library.hpp"

#include "base/fail.hpp"
#include "toolkit_libraries.hpp"

namespace halftone::cuda {

ProductLibrary::ProductLibrary() : file(product_library()) {
  if (!file.problem().empty()) fail(ErrorKind::device, "learned rounding on a GPU needs cuBLASLt: {}", file.problem());
#define HALFTONE_LOAD(name)                                         \
  name = file.function<decltype(cublasLt##name)>("cublasLt" #name); \
  if (name == nullptr) fail(ErrorKind::device, "'{}' has no function cublasLt" #name, product_library());
  HALFTONE_PRODUCT_FUNCTIONS(HALFTONE_LOAD)
#undef HALFTONE_LOAD
}

void check(cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(ErrorKind::device, "{}: cuBLASLt reports status {}", what, static_cast<int>(status));
}

}  // namespace halftone::cuda
