#include "formats/nf4/format.hpp"

#include "formats/codebook_format.hpp"

namespace halftone::formats::nf4 {

const FormatDescriptor& descriptor() {
  static const auto format = codebook_format<Format>(
      {
          .name = "nf4",
          .summary = "NF4, the largest magnitude per block of the flattened weight",
          .loaders = "ComfyUI with the QuantOps node",
      },
      "nf4");
  return format;
}

}  // namespace halftone::formats::nf4
