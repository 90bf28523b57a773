#include "formats/fp4/format.hpp"

#include "formats/codebook_format.hpp"

namespace halftone::formats::fp4 {

const FormatDescriptor& descriptor() {
  static const auto format = codebook_format<Format>(
      {
          .name = "fp4",
          .summary = "FP4, the largest magnitude per block of the flattened weight",
          .loaders = "ComfyUI with the QuantOps node",
      },
      "fp4");
  return format;
}

}  // namespace halftone::formats::fp4
