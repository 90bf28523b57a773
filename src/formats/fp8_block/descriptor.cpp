#include "formats/fp8_block/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::fp8_block {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format({
      .name = "fp8-block",
      .comfy_format = "float8_e4m3fn_blockwise",
      .summary = "FP8 E4M3, one scale per square block",
      .loaders = "ComfyUI with the QuantOps node",
      .code_dtype = Dtype::F8_E4M3,
      .storage = scaled_storage<Format>(),
      .block_sizes = {64, 128},
      .heuristic_block = 64,
      .takes_input_scale = true,
      .needs_custom_node = true,
      .plain = "fp8-row",
  });
  return format;
}

}  // namespace halftone::formats::fp8_block
