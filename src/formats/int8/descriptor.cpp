#include "formats/int8/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::int8 {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format({
      .name = "int8",
      .comfy_format = "int8_tensorwise",
      .summary = "INT8, one scale per tensor",
      .loaders = "ComfyUI",
      .code_dtype = Dtype::I8,
      .storage = scaled_storage<Format>(),
      .heuristic_block = 128,
      .fast_on = "GPUs of compute capability 7.5 or later",
  });
  return format;
}

}  // namespace halftone::formats::int8
