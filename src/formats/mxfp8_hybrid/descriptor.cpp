#include "formats/mxfp8_hybrid/format.hpp"

#include "formats/run_scaled_format.hpp"

namespace halftone::formats::mxfp8_hybrid {

const FormatDescriptor& descriptor() {
  static const RunScaledFormat format(
      {
          .name = "mxfp8-hybrid",
          .comfy_format = "hybrid_mxfp8",
          .summary = "mxfp8 with its largest scale as a scale per tensor beside it",
          .loaders = "ComfyUI with the QuantOps node and its comfy-kitchen fork",
          .code_dtype = Dtype::F8_E4M3,
          .storage = run_scaled_storage<Format>(),
          .heuristic_block = 32,
          .needs_custom_node = true,
      },
      {.scale_dtype = Dtype::U8, .largest_scale = true});
  return format;
}

}  // namespace halftone::formats::mxfp8_hybrid
