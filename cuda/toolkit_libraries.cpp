#include "toolkit_libraries.hpp"

#include <cuda_runtime.h>

#include "runtime/shared_library.hpp"

namespace halftone::cuda {

std::vector<ToolkitLibrary> find_toolkit_libraries() {
  // cuSOLVER counts its versions one behind the toolkit.
  constexpr int toolkit = CUDART_VERSION / 1000;
  std::vector<ToolkitLibrary> libraries = {{"libcublasLt.so." + std::to_string(toolkit), "matrix products", {}},
                                           {"libcusolver.so." + std::to_string(toolkit - 1), "singular values", {}}};
  for (ToolkitLibrary& library : libraries) library.problem = SharedLibrary(library.file).problem();
  return libraries;
}

}  // namespace halftone::cuda
