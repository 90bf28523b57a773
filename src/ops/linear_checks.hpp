#pragma once

#include <halftone/linear.hpp>

#include "base/fail.hpp"
#include "formats/float_types.hpp"

namespace halftone::ops {

// What every device asks of the caller of a Linear.

inline void check_input(const MatrixView& x, std::uint64_t columns, Dtype out) {
  if (x.columns != columns) {
    fail(ErrorKind::usage, "the inputs of this layer have {} columns, not {}", columns, x.columns);
  }
  const auto check_type = [](const char* what, Dtype dtype) {
    if (is_target_float(dtype)) return;
    fail(ErrorKind::usage, "the {} of a layer are {}, not {}", what, formats::target_floats(), name_of(dtype));
  };
  check_type("inputs", x.dtype);
  check_type("outputs", out);
}

inline void check_bias(std::uint64_t found, std::uint64_t rows) {
  if (found != 0 && found != rows) fail(ErrorKind::usage, "a layer of {} rows has a bias of as many elements, not {}", rows, found);
}

}  // namespace halftone::ops
