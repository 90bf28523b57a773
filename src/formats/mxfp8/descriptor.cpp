#include "formats/mxfp8/format.hpp"

#include "formats/run_scaled_format.hpp"

namespace halftone::formats::mxfp8 {

const FormatDescriptor& descriptor() {
  static const RunScaledFormat format(
      {
          .name = "mxfp8",
          .comfy_format = "mxfp8",
          .summary = "FP8 E4M3, a power of two per 32 columns as scale",
          .loaders = "ComfyUI",
          .code_dtype = Dtype::F8_E4M3,
          .storage = run_scaled_storage<Format>(),
          .heuristic_block = 32,
          .fast_on = "GPUs of compute capability 10 or later, with PyTorch 2.10 or later",
      },
      {.scale_dtype = Dtype::U8});
  return format;
}

}  // namespace halftone::formats::mxfp8
