#include "formats/nf4_bnb/format.hpp"

#include "formats/codebook_format.hpp"

namespace halftone::formats::nf4_bnb {

const FormatDescriptor& descriptor() {
  static const auto format = codebook_format<Format>(
      {
          .name = "nf4-bnb",
          .summary = "nf4 in the layout of bitsandbytes",
          .loaders = "bitsandbytes and what is built on it",
          .takes_double_quant = true,
      },
      "nf4");
  return format;
}

}  // namespace halftone::formats::nf4_bnb
