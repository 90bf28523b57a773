#include "formats/w4a4_convrot/format.hpp"

#include "formats/scaled_format.hpp"

namespace halftone::formats::w4a4_convrot {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format(
      {
          .name = "w4a4-convrot",
          .comfy_format = "convrot_w4a4",
          .summary = "INT4 of rotated rows, one scale per row",
          .loaders = "ComfyUI",
          .code_dtype = Dtype::I8,
          .storage = scaled_storage<Format>(),
          .rotation_groups = {256, 64, 16},
          .heuristic_block = 64,
          .column_multiple = 64,
          .keeps_unfit = true,
      },
      {.always_rotated = true, .keeps_row_shape = true});
  return format;
}

}  // namespace halftone::formats::w4a4_convrot
