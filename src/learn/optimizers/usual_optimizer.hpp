#pragma once

#include <cstdint>

#include <halftone/codec/hd.hpp>

namespace halftone::learn {

/// Iterations after which an optimizer usually ends by itself, on each kind of device.
struct UsualIterations {
  double cpu;
  double gpu;
};

/// What is so with most optimizers: an optimizer derives from this, and hides what is otherwise with it.
struct UsualOptimizer {
  static constexpr bool kPreconditioned = false;
  static constexpr bool kElementwise = true;
  static constexpr bool kHasVariants = false;
  static constexpr std::uint32_t kWarmUp = 0;
  static constexpr std::uint64_t kSampling = 0;
  static constexpr bool kKeepsGradient = false;

  [[nodiscard]] static HALFTONE_HD constexpr bool is_factored(std::uint64_t, std::uint64_t) { return false; }
};

}  // namespace halftone::learn
