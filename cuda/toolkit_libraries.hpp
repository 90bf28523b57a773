#pragma once

#include <string>
#include <vector>

namespace halftone::cuda {

/// A library of the CUDA toolkit that is opened when it is first needed, so that the program starts without it.
struct ToolkitLibrary {
  std::string file;     ///< "libcublasLt.so.13"
  std::string purpose;  ///< what needs it
  std::string problem;  ///< why it cannot be opened; empty where it can
};

/// The files of cuBLASLt and cuSOLVER, as the dynamic linker finds them.
[[nodiscard]] std::string product_library();
[[nodiscard]] std::string solver_library();

/// Tries to open each; closes it again.
[[nodiscard]] std::vector<ToolkitLibrary> find_toolkit_libraries();

}  // namespace halftone::cuda
