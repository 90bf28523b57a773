#pragma once

#include <ostream>

#include <halftone/format.hpp>

#include "cpu/kernel_table.hpp"

// How GoogleTest prints the parameters of tests, so that their names are the same on every run.

namespace halftone {

inline void PrintTo(Dtype dtype, std::ostream* out) { *out << name_of(dtype); }
inline void PrintTo(const FormatDescriptor* format, std::ostream* out) { *out << format->name(); }

namespace cpu {

inline void PrintTo(const KernelTable* kernels, std::ostream* out) { *out << kernels->instruction_set; }

}  // namespace cpu
}  // namespace halftone
