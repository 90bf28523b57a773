#pragma once

// How the kernels serve a format.  Instantiated once per format by the sources that CMake makes of
// formats.def, so that formats compile side by side.

#include <type_traits>

#include "formats/format_traits.hpp"
#include "kernels/dequantize.cuh"
#include "kernels/fitted_groups.cuh"
#include "kernels/fitted_rows.cuh"
#include "kernels/flat.cuh"
#include "kernels/groups.cuh"
#include "kernels/ops.cuh"
#include "kernels/rotate.cuh"
#include "kernels/rotated_rows.cuh"
#include "kernels/row_errors.cuh"
#include "kernels/runs.cuh"
#include "kernels/searched_groups.cuh"
#include "kernels/searched_runs.cuh"
#include "kernels/sources.cuh"
#include "launch_table.hpp"

namespace halftone::cuda {

template <class Format>
Groups groups_of(std::uint64_t rows, std::uint64_t columns, std::uint32_t block_size) {
  if constexpr (Format::kGrid == ScaleGrid::block) return Groups::of(rows, columns, block_size, block_size);
  if constexpr (Format::kGrid == ScaleGrid::run) return Groups::of(rows, columns, 1, formats::kRunOf<Format>);
  return Groups::of(rows, columns, 1, columns);
}

/// One scale for all.
template <class Format, class Source>
void quantize_tensor(const QuantizeArgs& args, cudaStream_t stream) {
  const auto* source = static_cast<const typename Source::Raw*>(args.source);
  const std::uint64_t n = args.rows * args.columns;
  if (args.measured != nullptr) {
    launch_flat(source, args.codes, n, EncodeMeasured<Format, Source>{args.measured}, stream, Order::backwards);
  } else {
    launch_flat(source, args.codes, n, Encode<Format, Source>{Format::scale_from_amax(args.tensor_amax).encode}, stream);
  }
}

/// One scale for each group.
template <class Format, class Source>
void quantize_groups(const QuantizeArgs& args, cudaStream_t stream) {
  const auto* source = static_cast<const typename Source::Raw*>(args.source);
  auto* scales = reinterpret_cast<formats::StoredScale<Format>*>(args.scales);
  const Groups groups = groups_of<Format>(args.rows, args.columns, args.block_size);
  if constexpr ((formats::kCandidatesOf < Format >> 1)) {
    if (args.search) {
      if constexpr (Format::kGrid == ScaleGrid::run) {
        return launch_searched_runs<Format, Source>(source, args.rows, args.columns, args.tensor_amax, args.codes, scales, stream);
      } else {
        return launch_searched_groups<Format, Source>(source, groups, args.codes, scales, args.largest, stream);
      }
    }
  }
  if constexpr (Format::kGrid == ScaleGrid::run || kNibbles<Format>) {
    const bool short_groups = groups.height == 1 && runs_fit<Source>(groups.width);
    if (Format::kGrid == ScaleGrid::run || short_groups) {
      return launch_runs<Format, Source>(source, args.rows, args.columns, static_cast<std::uint32_t>(groups.width),
                                         {args.tensor_amax, args.measured}, args.codes, scales, args.largest, stream);
    }
  }
  if constexpr (Format::kGrid != ScaleGrid::run) {
    launch_groups<Format, Source>(source, groups, args.codes, scales, args.largest, stream);
  }
}

/// One scale for each group of a weight that is rotated first.
template <class Format, class Source>
void quantize_rotated(const QuantizeArgs& args, cudaStream_t stream) {
  const auto* source = static_cast<const typename Source::Raw*>(args.source);
  if constexpr (formats::kRotates<Format>) {
    const bool launched =
        !args.search && launch_rotated_rows<Format, Source>(source, args.rows, args.columns, args.rotation_group, args.codes,
                                                            reinterpret_cast<float*>(args.scales), args.largest, stream);
    if (launched) return;
  }
  const std::uint64_t n = args.rows * args.columns;
  launch_flat(source, static_cast<std::uint8_t*>(nullptr), n, MaxMagnitude<Source>{args.largest}, stream);
  launch_rotate<Source>(source, n, args.rotation_group, args.rotated, stream);
  QuantizeArgs rotated = args;
  rotated.source = args.rotated;
  rotated.rotation_group = 0;
  quantize_groups<Format, F32>(rotated, stream);
}

/// Scales that are fitted to the weights of their groups, which are rotated first.
template <class Format, class Source, bool Search>
void quantize_fitted(const QuantizeArgs& args, cudaStream_t stream) {
  const auto* source = static_cast<const typename Source::Raw*>(args.source);
  auto* scales = reinterpret_cast<std::uint8_t*>(args.scales);
  const bool launched = launch_fitted_rows<Format, Source, Search>(source, args.rows, args.columns, args.rotation_group, args.group_size,
                                                                   args.codes, scales, args.largest, stream);
  if (launched) return;
  const std::uint64_t n = args.rows * args.columns;
  constexpr std::uint8_t* nothing = nullptr;
  launch_flat(source, nothing, n, MaxMagnitude<Source>{args.largest}, stream);
  launch_rotate<Source>(source, n, args.rotation_group, args.rotated, stream);
  launch_flat(args.rotated, nothing, n, MaxMagnitude<F32>{args.largest}, stream);
  launch_fitted_groups<Format, Search>(args.rotated, args.rows, args.columns, args.group_size, args.codes, scales, stream);
}

template <class Format, class Source>
void quantize(const QuantizeArgs& args, cudaStream_t stream) {
  if constexpr (formats::RowScaled<Format>) {
    if (args.search) return quantize_fitted<Format, Source, true>(args, stream);
    quantize_fitted<Format, Source, false>(args, stream);
  } else if constexpr (Format::kGrid == ScaleGrid::none) {
    const auto* source = static_cast<const typename Source::Raw*>(args.source);
    launch_flat(source, args.codes, args.rows * args.columns, EncodeAndMeasure<Format, Source>{{args.largest}}, stream);
  } else if constexpr (Format::kGrid == ScaleGrid::tensor) {
    quantize_tensor<Format, Source>(args, stream);
  } else {
    if (args.rotation_group != 0) return quantize_rotated<Format, Source>(args, stream);
    quantize_groups<Format, Source>(args, stream);
  }
}

template <class Format, class Target>
void dequantize(const DequantizeArgs& args, cudaStream_t stream) {
  auto* out = static_cast<typename Target::Raw*>(args.out);
  if constexpr (formats::RowScaled<Format>) {
    launch_dequantize_fitted<Format, Target>(args.codes, args.rows, args.columns, args.group_size,
                                             reinterpret_cast<const std::uint8_t*>(args.scales), out, stream);
  } else {
    constexpr std::uint64_t run = formats::kRunOf<Format>;
    const std::uint64_t padded = run == 0 ? args.columns : (args.columns + run - 1) / run * run;
    const Scales<Format> scales{reinterpret_cast<const formats::StoredScale<Format>*>(args.scales), args.tensor_scale};
    launch_dequantize<Format, Target>(args.codes, groups_of<Format>(args.rows, args.columns, args.block_size), padded, scales, out, stream);
  }
}

/// For each candidate for the one scale of a weight.
template <class Format, class Source>
void errors(const ErrorArgs& args, cudaStream_t stream) {
  RoundedValues<Format> values;
  std::copy_n(args.amaxes, RoundedValues<Format>::kCandidates, values.amaxes);
  launch_row_errors<Source>(static_cast<const typename Source::Raw*>(args.source), args.rows, args.columns, values, args.unit, args.sums,
                            stream);
}

template <class Format, class Float>
void add(FormatLaunches& launches, std::size_t index) {
  launches.quantize[index] = quantize<Format, Float>;
  if constexpr (Written<Float>) launches.dequantize[index] = dequantize<Format, Float>;
  if constexpr (Format::kGrid == ScaleGrid::tensor && (formats::kTensorCandidatesOf < Format >> 1)) {
    launches.errors[index] = errors<Format, Float>;
  }
}

template <class Format>
FormatLaunches launches() {
  FormatLaunches launches;
#define HALFTONE_FLOAT(name, type, torch, use) add<Format, type>(launches, formats::k##type);
#include <halftone/float_type.def>
#undef HALFTONE_FLOAT
  return launches;
}

}  // namespace halftone::cuda
