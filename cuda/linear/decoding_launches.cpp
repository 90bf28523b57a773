#include "linear/decoding_launches.hpp"

#include <array>

namespace halftone::cuda {

#define HALFTONE_FORMAT(folder) void launch_decoding_##folder(const DecodingArgs&, cudaStream_t);
#include "formats/formats.def"
#undef HALFTONE_FORMAT

bool decoding_fits(const FormatDescriptor& format, std::uint64_t k, std::uint64_t group_width, std::uint64_t code_pitch) {
  const std::uint64_t chunk = 16 * 8 / format.storage().code_bits;  // a vector of 16 bytes
  const bool power = group_width >= 16 && (group_width & (group_width - 1)) == 0;
  return k % chunk == 0 && k < std::uint64_t{1} << 31 && (power || group_width == k) && code_pitch % 16 == 0;
}

DecodingLaunch decoding_launch(const FormatDescriptor& format) {
  static constexpr std::array<DecodingLaunch, 0
#define HALFTONE_FORMAT(folder) +1
#include "formats/formats.def"
#undef HALFTONE_FORMAT
                              >
      table = {
#define HALFTONE_FORMAT(folder) launch_decoding_##folder,
#include "formats/formats.def"
#undef HALFTONE_FORMAT
      };
  return table[format.index()];
}

}  // namespace halftone::cuda
