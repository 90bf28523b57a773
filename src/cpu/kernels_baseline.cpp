#define HALFTONE_KERNELS kBaselineKernels
#define HALFTONE_INSTRUCTION_SET "baseline"
#include "cpu/kernels.inc.hpp"
