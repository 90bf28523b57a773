#include "formats/int8_block/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::int8_block {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format(
      {
          .name = "int8-block",
          .comfy_format = "int8_blockwise",
          .summary = "INT8, one scale per square block",
          .loaders = "ComfyUI with the QuantOps node",
          .code_dtype = Dtype::I8,
          .storage = scaled_storage<Format>(),
          .block_sizes = {128, 64},
          .heuristic_block = 128,
          .needs_custom_node = true,
          .plain = "int8-row",
      },
      {.always_input_scale = true});
  return format;
}

}  // namespace halftone::formats::int8_block
