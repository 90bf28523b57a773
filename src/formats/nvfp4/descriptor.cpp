#include "formats/nvfp4/format.hpp"

#include "formats/run_scaled_format.hpp"

namespace halftone::formats::nvfp4 {

const FormatDescriptor& descriptor() {
  static const RunScaledFormat format(
      {
          .name = "nvfp4",
          .comfy_format = "nvfp4",
          .summary = "FP4 E2M1, an FP8 scale per 16 columns and one scale per tensor",
          .loaders = "ComfyUI",
          .code_dtype = Dtype::U8,
          .storage = run_scaled_storage<Format>(),
          .heuristic_block = 16,
          .fast_on = "GPUs of compute capability 10 or later",
      },
      {.scale_dtype = Dtype::F8_E4M3});
  return format;
}

}  // namespace halftone::formats::nvfp4
