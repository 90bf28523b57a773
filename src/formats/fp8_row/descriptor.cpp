#include "formats/fp8_row/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::fp8_row {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format({
      .name = "fp8-row",
      .comfy_format = "float8_e4m3fn_rowwise",
      .summary = "FP8 E4M3, one scale per row",
      .loaders = "ComfyUI with the QuantOps node",
      .code_dtype = Dtype::F8_E4M3,
      .storage = scaled_storage<Format>(),
      .heuristic_block = 64,
      .takes_input_scale = true,
      .needs_custom_node = true,
  });
  return format;
}

}  // namespace halftone::formats::fp8_row
