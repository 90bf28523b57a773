#pragma once

#include <halftone/linear.hpp>

#include "base/fail.hpp"

namespace halftone::ops {

// What every device asks of the caller of a Linear.

/// F32, BF16 and F16: what inputs and outputs may be.
[[nodiscard]] inline bool is_linear_type(Dtype dtype) noexcept {
  return dtype == Dtype::F32 || dtype == Dtype::BF16 || dtype == Dtype::F16;
}

inline void check_input(const MatrixView& x, std::uint64_t columns, Dtype out) {
  if (x.columns != columns) {
    fail(ErrorKind::usage, "the inputs of this layer have {} columns, not {}", columns, x.columns);
  }
  if (!is_linear_type(x.dtype)) fail(ErrorKind::usage, "the inputs of a layer are F32, BF16 or F16, not {}", name_of(x.dtype));
  if (!is_linear_type(out)) fail(ErrorKind::usage, "the outputs of a layer are F32, BF16 or F16, not {}", name_of(out));
}

inline void check_bias(std::uint64_t found, std::uint64_t rows) {
  if (found != 0 && found != rows) fail(ErrorKind::usage, "a layer of {} rows has a bias of as many elements, not {}", rows, found);
}

}  // namespace halftone::ops
