#include "formats/int8_convrot/format.hpp"

#include "formats/scaled_format.hpp"

namespace halftone::formats::int8_convrot {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format(
      {
          .name = "int8-convrot",
          .comfy_format = "int8_tensorwise",
          .summary = "INT8 of rotated rows, one scale per row",
          .loaders = "ComfyUI",
          .code_dtype = Dtype::I8,
          .storage = scaled_storage<Format>(),
          .rotation_groups = {256, 64, 16},
          .heuristic_block = 128,
          .tuned_rotation_group = 256,
          .fast_on = "GPUs of compute capability 7.5 or later",
          .keeps_unfit = true,
          .plain = "int8-row",
      },
      {.row_scales_are_columns = true, .writes_per_row = true});
  return format;
}

}  // namespace halftone::formats::int8_convrot
