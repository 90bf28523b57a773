#include "formats/fp8/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::fp8 {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format({
      .name = "fp8",
      .comfy_format = "float8_e4m3fn",
      .summary = "FP8 E4M3, one scale per tensor",
      .loaders = "ComfyUI",
      .code_dtype = Dtype::F8_E4M3,
      .storage = scaled_storage<Format>(),
      .heuristic_block = 64,
      .matmul_alignment = 16,
      .fast_on = "GPUs of compute capability 8.9 or later",
      .takes_input_scale = true,
  });
  return format;
}

}  // namespace halftone::formats::fp8
