#pragma once

// How the kernels serve a format.  Instantiated once per format by the sources that CMake makes of
// formats.def, so that formats compile side by side.

#include <type_traits>

#include "formats/format_traits.hpp"
#include "kernels/dequantize.cuh"
#include "kernels/flat.cuh"
#include "kernels/groups.cuh"
#include "kernels/ops.cuh"
#include "kernels/sources.cuh"
#include "launch_table.hpp"

namespace halftone::cuda {

template <class Format>
Groups groups_of(std::uint64_t rows, std::uint64_t columns, std::uint32_t block_size) {
  if constexpr (Format::kGrid == ScaleGrid::block) return Groups::of(rows, columns, block_size, block_size);
  return Groups::of(rows, columns, 1, columns);
}

template <class Format, class Source>
void quantize(const QuantizeArgs& args, cudaStream_t stream) {
  const auto* source = static_cast<const typename Source::Raw*>(args.source);
  const std::uint64_t n = args.rows * args.columns;
  if constexpr (Format::kGrid == ScaleGrid::none) {
    launch_flat(source, args.codes, n, EncodeAndMeasure<Format, Source>{{args.largest}}, stream);
  } else if constexpr (Format::kGrid == ScaleGrid::tensor) {
    if (args.measured != nullptr) {
      launch_flat(source, args.codes, n, EncodeMeasured<Format, Source>{args.measured}, stream, Order::backwards);
      return;
    }
    launch_flat(source, args.codes, n, Encode<Format, Source>{Format::scale_from_amax(args.tensor_amax).encode}, stream);
  } else {
    launch_groups<Format, Source>(source, groups_of<Format>(args.rows, args.columns, args.block_size), args.codes, args.scales,
                                  args.largest, stream);
  }
}

template <class Format, class Target>
void dequantize(const DequantizeArgs& args, cudaStream_t stream) {
  launch_dequantize<Format, Target>(args.codes, groups_of<Format>(args.rows, args.columns, args.block_size), args.scales,
                                    static_cast<typename Target::Raw*>(args.out), stream);
}

/// The kernels write one byte for each code and an F32 for each scale.
template <class Format>
constexpr bool kHasKernels = formats::kPackingOf<Format> == formats::Packing::bytes&& formats::kRunOf<Format> == 0 &&
                             std::is_same_v<formats::StoredScale<Format>, float>;

template <class Format>
FormatLaunches launches() {
  if constexpr (!kHasKernels<Format>) {
    return {};
  } else {
    return {{quantize<Format, F64>, quantize<Format, F32>, quantize<Format, Bf16>, quantize<Format, F16>},
            {dequantize<Format, F32>, dequantize<Format, Bf16>, dequantize<Format, F16>}};
  }
}

}  // namespace halftone::cuda
