#include "toolkit_libraries.hpp"

#include <cuda_runtime.h>

#include "runtime/shared_library.hpp"

namespace halftone::cuda {

std::string product_library() { return "libcublasLt.so." + std::to_string(CUDART_VERSION / 1000); }

// cuSOLVER counts its versions one behind the toolkit.
std::string solver_library() { return "libcusolver.so." + std::to_string(CUDART_VERSION / 1000 - 1); }

std::vector<ToolkitLibrary> find_toolkit_libraries() {
  std::vector<ToolkitLibrary> libraries = {{product_library(), "matrix products", {}}, {solver_library(), "factors of matrices", {}}};
  for (ToolkitLibrary& library : libraries) library.problem = SharedLibrary(library.file).problem();
  return libraries;
}

}  // namespace halftone::cuda
