#pragma once

#include <cstddef>

#include <halftone/dtype.hpp>

namespace halftone::formats {

/// Places of the types of float_type.def in tables of kernels.
enum FloatIndex : std::size_t {
#define HALFTONE_FLOAT(name, type, torch, use) k##type,
#include <halftone/float_type.def>
#undef HALFTONE_FLOAT
  kFloatCount
};

/// Throws internal for other types.
[[nodiscard]] FloatIndex float_index(Dtype dtype);

}  // namespace halftone::formats
