#pragma once

#include <mutex>

#include <Eigen/Core>

namespace halftone::cpu {

/// Eigen cuts products by the sizes of the caches that it finds; sums must not depend on them.  Before any product.
inline void fix_eigen_blocking() {
  static std::once_flag fixed;
  std::call_once(fixed, [] { Eigen::setCpuCacheSizes(32 << 10, 1 << 20, 8 << 20); });
}

}  // namespace halftone::cpu
