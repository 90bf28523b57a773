// Included once by each kernels_<instruction set>.cpp, which defines HALFTONE_KERNELS (the table's
// name) and HALFTONE_INSTRUCTION_SET.  No include guard.
//
// Everything called here is forced inline or in the anonymous namespace: an inline function of
// the standard library compiled here could become the copy that the linker keeps for machines
// without this instruction set.  That is why the code below uses none.

#if defined(__AVX2__)
#include <immintrin.h>

#include <type_traits>
#endif

#include <utility>

#include <halftone/codec/half.hpp>

#include "cpu/kernel_table.hpp"
#include "formats/all_formats.hpp"
#include "formats/format_traits.hpp"
#include "formats/level_limits.hpp"
#include "formats/rotation.hpp"

namespace halftone::cpu {
namespace {

#include "cpu/kernels/lanes.inc.hpp"
#include "cpu/kernels/sources.inc.hpp"
// What follows uses the lanes and the sources.
#include "cpu/kernels/fit.inc.hpp"
#include "cpu/kernels/level_codes.inc.hpp"
#include "cpu/kernels/maxima.inc.hpp"
#include "cpu/kernels/packing.inc.hpp"
// What follows uses the packing.
#include "cpu/kernels/decode.inc.hpp"
#include "cpu/kernels/encode.inc.hpp"
#include "cpu/kernels/squared_error.inc.hpp"
// What follows uses the squared errors.
#include "cpu/kernels/search.inc.hpp"

template <class Format, class Source>
consteval void add_kernels(KernelTable& table, std::size_t format, std::size_t source) {
  table.encode[format][source] = encode<Format, Source>;
  table.squared_error[format][source] = squared_error<Format, Source>;
  table.search[format][source] = kSearchOf<Format, Source>;
}

template <class Source>
consteval void add_source(KernelTable& table, std::size_t source) {
  table.max_magnitude[source] = max_magnitude<Source>;
  table.to_float[source] = to_float<Source>;
  std::size_t format = 0;
#define HALFTONE_FORMAT(folder) add_kernels<formats::folder::Format, Source>(table, format++, source);
#include "formats/formats.def"
#undef HALFTONE_FORMAT
}

template <class Format>
consteval void add_format(KernelTable& table, std::size_t format) {
  table.fit[format] = kFitOf<Format>;
  table.decode[format] = decode<Format>;
}

consteval KernelTable all_kernels() {
  KernelTable table{};
  table.instruction_set = HALFTONE_INSTRUCTION_SET;
#define HALFTONE_FLOAT(name, type, torch, use) add_source<type##Source>(table, formats::k##type);
#include <halftone/float_type.def>
#undef HALFTONE_FLOAT
  std::size_t format = 0;
#define HALFTONE_FORMAT(folder) add_format<formats::folder::Format>(table, format++);
#include "formats/formats.def"
#undef HALFTONE_FORMAT
  table.rotate = rotate;
  table.to_bf16 = to_half<codec::Bf16>;
  table.to_f16 = to_half<codec::F16>;
  return table;
}

}  // namespace

constinit const KernelTable HALFTONE_KERNELS = all_kernels();

}  // namespace halftone::cpu
