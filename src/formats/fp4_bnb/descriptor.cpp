#include "formats/fp4_bnb/format.hpp"

#include "formats/codebook_format.hpp"

namespace halftone::formats::fp4_bnb {

const FormatDescriptor& descriptor() {
  static const CodebookFormat format(
      {
          .name = "fp4-bnb",
          .comfy_format = "",
          .summary = "fp4 in the layout of bitsandbytes",
          .loaders = "bitsandbytes and what is built on it",
          .code_dtype = Dtype::U8,
          .storage = storage_of<Format>({.flat = true}),
          .block_sizes = codebook_block_sizes(),
          .heuristic_block = 64,
          .takes_double_quant = true,
          .needs_custom_node = true,
      },
      {.type = "fp4", .bitsandbytes = true, .level = codec::BnbFp4::level});
  return format;
}

}  // namespace halftone::formats::fp4_bnb
