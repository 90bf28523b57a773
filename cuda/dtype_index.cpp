#include "base/fail.hpp"
#include "launch_table.hpp"

namespace halftone::cuda {

std::size_t source_index(Dtype dtype) {
  switch (dtype) {
    case Dtype::F64: return 0;
    case Dtype::F32: return 1;
    case Dtype::BF16: return 2;
    case Dtype::F16: return 3;
    default: fail(ErrorKind::internal, "the CUDA kernels read no {}", name_of(dtype));
  }
}

std::size_t target_index(Dtype dtype) {
  switch (dtype) {
    case Dtype::F32: return 0;
    case Dtype::BF16: return 1;
    case Dtype::F16: return 2;
    default: fail(ErrorKind::internal, "the CUDA kernels write no {}", name_of(dtype));
  }
}

}  // namespace halftone::cuda
