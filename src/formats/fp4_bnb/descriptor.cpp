#include "formats/fp4_bnb/format.hpp"

#include "formats/codebook_format.hpp"

namespace halftone::formats::fp4_bnb {

const FormatDescriptor& descriptor() {
  static const auto format = codebook_format<Format>(
      {
          .name = "fp4-bnb",
          .summary = "fp4 in the layout of bitsandbytes",
          .loaders = "bitsandbytes and what is built on it",
          .takes_double_quant = true,
      },
      "fp4");
  return format;
}

}  // namespace halftone::formats::fp4_bnb
