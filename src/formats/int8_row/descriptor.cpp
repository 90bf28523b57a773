#include "formats/int8_row/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::int8_row {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format(
      {
          .name = "int8-row",
          .comfy_format = "int8_tensorwise",
          .summary = "INT8, one scale per row",
          .loaders = "ComfyUI",
          .code_dtype = Dtype::I8,
          .storage = scaled_storage<Format>(),
          .heuristic_block = 128,
          .fast_on = "GPUs of compute capability 7.5 or later",
      },
      {.row_scales_are_columns = true, .writes_per_row = true});
  return format;
}

}  // namespace halftone::formats::int8_row
