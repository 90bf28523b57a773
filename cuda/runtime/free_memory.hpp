#pragma once

#include <string>

namespace halftone::cuda {

/// How much memory the current device has left, for the messages of libraries that do not say what they lack.
[[nodiscard]] std::string free_memory();

}  // namespace halftone::cuda
