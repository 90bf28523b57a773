#pragma once

#include <cublasLt.h>

#include <cstdint>
#include <string_view>

#include "runtime/shared_library.hpp"

namespace halftone::cuda {

/// The functions of cuBLASLt that are called.  The library is opened when this is made.
struct CublasLt {
  /// `purpose`, "learned rounding on a GPU", begins the sentence of the error.  Throws device where it is not there.
  explicit CublasLt(std::string_view purpose);

  SharedLibrary file;
#define HALFTONE_CUBLASLT(name) decltype(&cublasLt##name) name = nullptr;
#include "runtime/cublas_lt.def"
#undef HALFTONE_CUBLASLT
};

/// Throws device, naming `what`, unless `status` is success.
void check(cublasStatus_t status, const char* what);

/// The largest power of two, up to 256, that divides an address: what algorithms are chosen by.
[[nodiscard]] std::uint32_t alignment_of(const void* data) noexcept;

}  // namespace halftone::cuda
