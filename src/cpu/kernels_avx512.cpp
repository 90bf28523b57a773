#define HALFTONE_KERNELS kAvx512Kernels
#define HALFTONE_INSTRUCTION_SET "avx512"
#include "cpu/kernels.inc.hpp"
