#pragma once

#include <cublasLt.h>

#include <memory>

#include "runtime/shared_library.hpp"

namespace halftone::cuda {

/// cuBLASLt, opened, with those of its functions that are called.
struct ProductLibrary {
  /// Throws device where it is not there.
  ProductLibrary();

  SharedLibrary file;
#define HALFTONE_PRODUCT_FUNCTIONS(DO) \
  DO(Create)                           \
  DO(Destroy)                          \
  DO(Matmul)                           \
  DO(MatmulAlgoGetHeuristic)           \
  DO(MatmulDescCreate)                 \
  DO(MatmulDescDestroy)                \
  DO(MatmulDescSetAttribute)           \
  DO(MatrixLayoutCreate)               \
  DO(MatrixLayoutDestroy)              \
  DO(MatmulPreferenceCreate)           \
  DO(MatmulPreferenceDestroy)          \
  DO(MatmulPreferenceSetAttribute)
#define HALFTONE_DECLARE(name) decltype(&cublasLt##name) name = nullptr;
  HALFTONE_PRODUCT_FUNCTIONS(HALFTONE_DECLARE)
#undef HALFTONE_DECLARE
};

/// Throws device, with what cuBLASLt says, where `status` is an error.
void check(cublasStatus_t status, const char* what);

}  // namespace halftone::cuda
