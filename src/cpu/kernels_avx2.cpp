#define HALFTONE_KERNELS kAvx2Kernels
#define HALFTONE_INSTRUCTION_SET "avx2"
#include "cpu/kernels.inc.hpp"
