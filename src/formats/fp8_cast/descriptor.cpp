#include "formats/fp8_cast/format.hpp"
#include "formats/scaled_format.hpp"

namespace halftone::formats::fp8_cast {

const FormatDescriptor& descriptor() {
  static const ScaledFormat format({
      .name = "fp8-cast",
      .comfy_format = "",
      .summary = "FP8 E4M3 without a scale; weights beyond 448 are refused",
      .loaders = "ComfyUI and any reader of F8_E4M3",
      .code_dtype = Dtype::F8_E4M3,
      .storage = scaled_storage<Format>(),
      .heuristic_block = 64,
      .largest_weight = codec::E4M3::max_value(),
  });
  return format;
}

}  // namespace halftone::formats::fp8_cast
