#include "formats/fp4/format.hpp"

#include "formats/codebook_format.hpp"

namespace halftone::formats::fp4 {

const FormatDescriptor& descriptor() {
  static const CodebookFormat format(
      {
          .name = "fp4",
          .comfy_format = "",
          .summary = "FP4, the largest magnitude per block of the flattened weight",
          .loaders = "ComfyUI with the QuantOps node",
          .code_dtype = Dtype::U8,
          .storage = storage_of<Format>({.flat = true}),
          .block_sizes = codebook_block_sizes(),
          .heuristic_block = 64,
          .needs_custom_node = true,
      },
      {.type = "fp4", .bitsandbytes = false, .level = codec::Fp4::level});
  return format;
}

}  // namespace halftone::formats::fp4
