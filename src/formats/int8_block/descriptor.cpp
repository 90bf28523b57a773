#include "formats/int8_block/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::int8_block {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format({
      .name = "int8-block",
      .comfy_format = "int8_blockwise",
      .summary = "INT8, one scale per square block",
      .loaders = "ComfyUI with the QuantOps node",
      .code_dtype = Dtype::I8,
      .grid = Format::kGrid,
      .heuristic_block = 128,
      .block_sizes = {128, 64},
      .always_input_scale = true,
      .needs_custom_node = true,
  });
  return format;
}

}  // namespace halftone::formats::int8_block
