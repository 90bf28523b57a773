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

}  // namespace

const KernelTable HALFTONE_KERNELS = {
    HALFTONE_INSTRUCTION_SET,
    {max_magnitude<F64Source>, max_magnitude<F32Source>, max_magnitude<Bf16Source>, max_magnitude<F16Source>},
    {
#define HALFTONE_FORMAT(folder)                                                                                                         \
  {encode<formats::folder::Format, F64Source>, encode<formats::folder::Format, F32Source>, encode<formats::folder::Format, Bf16Source>, \
   encode<formats::folder::Format, F16Source>},
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    {
#define HALFTONE_FORMAT(folder)                                                                          \
  {squared_error<formats::folder::Format, F64Source>, squared_error<formats::folder::Format, F32Source>, \
   squared_error<formats::folder::Format, Bf16Source>, squared_error<formats::folder::Format, F16Source>},
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    {
#define HALFTONE_FORMAT(folder)                                                                  \
  {kSearchOf<formats::folder::Format, F64Source>, kSearchOf<formats::folder::Format, F32Source>, \
   kSearchOf<formats::folder::Format, Bf16Source>, kSearchOf<formats::folder::Format, F16Source>},
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    {
#define HALFTONE_FORMAT(folder) kFitOf<formats::folder::Format>,
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    {
#define HALFTONE_FORMAT(folder) decode<formats::folder::Format>,
#include "formats/formats.def"
#undef HALFTONE_FORMAT
    },
    rotate,
    {to_float<F64Source>, to_float<F32Source>, to_float<Bf16Source>, to_float<F16Source>},
    to_half<codec::Bf16>,
    to_half<codec::F16>,
};

}  // namespace halftone::cpu
