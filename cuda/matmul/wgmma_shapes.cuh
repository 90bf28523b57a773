#pragma once

#include "matmul/wgmma.cuh"

// The instructions behind Wgmma, one line at the end of the file for each: an instruction names each of its registers.

// clang-format off
#define HALFTONE_TEN(tens) "%" #tens "0,%" #tens "1,%" #tens "2,%" #tens "3,%" #tens "4,%" #tens "5,%" #tens "6,%" #tens "7,%" #tens "8,%" #tens "9,"
#define HALFTONE_THIRTY HALFTONE_TEN() HALFTONE_TEN(1) HALFTONE_TEN(2)
#define HALFTONE_SIXTY HALFTONE_THIRTY HALFTONE_TEN(3) HALFTONE_TEN(4) HALFTONE_TEN(5)
#define HALFTONE_NAMES_32 HALFTONE_THIRTY "%30,%31"
#define HALFTONE_NAMES_64 HALFTONE_SIXTY "%60,%61,%62,%63"
#define HALFTONE_NAMES_96 HALFTONE_SIXTY HALFTONE_TEN(6) HALFTONE_TEN(7) HALFTONE_TEN(8) "%90,%91,%92,%93,%94,%95"
#define HALFTONE_NAMES_128 HALFTONE_SIXTY HALFTONE_TEN(6) HALFTONE_TEN(7) HALFTONE_TEN(8) HALFTONE_TEN(9) HALFTONE_TEN(10) HALFTONE_TEN(11) \
  "%120,%121,%122,%123,%124,%125,%126,%127"

#define HALFTONE_SUMS_8(kind, i) kind(sums[i]), kind(sums[i + 1]), kind(sums[i + 2]), kind(sums[i + 3]), \
  kind(sums[i + 4]), kind(sums[i + 5]), kind(sums[i + 6]), kind(sums[i + 7])
#define HALFTONE_SUMS_32_FROM(kind, i) HALFTONE_SUMS_8(kind, i), HALFTONE_SUMS_8(kind, i + 8), HALFTONE_SUMS_8(kind, i + 16), HALFTONE_SUMS_8(kind, i + 24)
#define HALFTONE_SUMS_32(kind) HALFTONE_SUMS_32_FROM(kind, 0)
#define HALFTONE_SUMS_64(kind) HALFTONE_SUMS_32(kind), HALFTONE_SUMS_32_FROM(kind, 32)
#define HALFTONE_SUMS_96(kind) HALFTONE_SUMS_64(kind), HALFTONE_SUMS_32_FROM(kind, 64)
#define HALFTONE_SUMS_128(kind) HALFTONE_SUMS_96(kind), HALFTONE_SUMS_32_FROM(kind, 96)
// clang-format on

/// codes: of Wgmma; n: rows of b; count: n / 2; types, kind, tail: as the instruction has them; a, b, p: names of its last operands.
#define HALFTONE_WGMMA(codes, n, count, types, kind, tail, a, b, p)                                                                  \
  template <>                                                                                                                        \
  struct Wgmma<codes, n> {                                                                                                           \
    __device__ static __forceinline__ void multiply(codes::Sum (&sums)[count], std::uint64_t a_rows, std::uint64_t b_rows,           \
                                                    bool accumulate) {                                                               \
      asm volatile("{\n.reg .pred accumulate;\nsetp.ne.b32 accumulate, " p ", 0;\nwgmma.mma_async.sync.aligned.m64n" #n "k32." types \
                   " {" HALFTONE_NAMES_##count "}, " a ", " b ", accumulate" tail ";\n}\n"                                           \
                   : HALFTONE_SUMS_##count(kind)                                                                                     \
                   : "l"(a_rows), "l"(b_rows), "r"(static_cast<std::int32_t>(accumulate)));                                          \
    }                                                                                                                                \
  };

namespace halftone::cuda::matmul {

HALFTONE_WGMMA(Int8Codes, 64, 32, "s32.s8.s8", "+r", "", "%32", "%33", "%34")
HALFTONE_WGMMA(Int8Codes, 128, 64, "s32.s8.s8", "+r", "", "%64", "%65", "%66")
HALFTONE_WGMMA(Int8Codes, 192, 96, "s32.s8.s8", "+r", "", "%96", "%97", "%98")
HALFTONE_WGMMA(Int8Codes, 256, 128, "s32.s8.s8", "+r", "", "%128", "%129", "%130")
HALFTONE_WGMMA(E4M3Codes, 64, 32, "f32.e4m3.e4m3", "+f", ", 1, 1", "%32", "%33", "%34")
HALFTONE_WGMMA(E4M3Codes, 128, 64, "f32.e4m3.e4m3", "+f", ", 1, 1", "%64", "%65", "%66")
HALFTONE_WGMMA(E4M3Codes, 192, 96, "f32.e4m3.e4m3", "+f", ", 1, 1", "%96", "%97", "%98")
HALFTONE_WGMMA(E4M3Codes, 256, 128, "f32.e4m3.e4m3", "+f", ", 1, 1", "%128", "%129", "%130")
HALFTONE_WGMMA(E4M3ByE5M2Codes, 64, 32, "f32.e4m3.e5m2", "+f", ", 1, 1", "%32", "%33", "%34")
HALFTONE_WGMMA(E4M3ByE5M2Codes, 128, 64, "f32.e4m3.e5m2", "+f", ", 1, 1", "%64", "%65", "%66")
HALFTONE_WGMMA(E4M3ByE5M2Codes, 192, 96, "f32.e4m3.e5m2", "+f", ", 1, 1", "%96", "%97", "%98")
HALFTONE_WGMMA(E4M3ByE5M2Codes, 256, 128, "f32.e4m3.e5m2", "+f", ", 1, 1", "%128", "%129", "%130")

}  // namespace halftone::cuda::matmul

#undef HALFTONE_WGMMA
