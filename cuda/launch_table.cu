#include "launch_table.hpp"

#include "kernels/flat.cuh"
#include "kernels/ops.cuh"
#include "kernels/rotate.cuh"
#include "kernels/row_errors.cuh"
#include "kernels/sources.cuh"

namespace halftone::cuda {

#define HALFTONE_FORMAT(folder) FormatLaunches launches_of_##folder();
#include "formats/formats.def"
#undef HALFTONE_FORMAT

namespace {

template <class Source>
void max_magnitude(const void* source, std::uint64_t n, std::uint32_t* largest, cudaStream_t stream) {
  launch_flat(static_cast<const typename Source::Raw*>(source), static_cast<std::uint8_t*>(nullptr), n, MaxMagnitude<Source>{largest},
              stream);
}

template <class Source>
void rotate(const void* source, std::uint64_t n, std::uint32_t size, float* out, cudaStream_t stream) {
  launch_rotate<Source>(static_cast<const typename Source::Raw*>(source), n, size, out, stream);
}

template <class Source, class Target>
void cast(const void* source, std::uint64_t n, void* out, cudaStream_t stream) {
  launch_flat(static_cast<const typename Source::Raw*>(source), static_cast<typename Target::Raw*>(out), n, Cast<Source, Target>{}, stream);
}

template <class Source>
void value_errors(const ErrorArgs& args, cudaStream_t stream) {
  launch_row_errors<Source>(static_cast<const typename Source::Raw*>(args.source), args.rows, args.columns, GivenValues{args.values},
                            args.unit, args.sums, stream);
}

template <class Source>
constexpr std::array<CastLaunch, 3> kCastsFrom = {cast<Source, F32>, cast<Source, Bf16>, cast<Source, F16>};

}  // namespace

const FormatLaunches& launches_of(const FormatDescriptor& format) {
  static const std::array table = {
#define HALFTONE_FORMAT(folder) launches_of_##folder(),
#include "formats/formats.def"
#undef HALFTONE_FORMAT
  };
  return table[format.index()];
}

MaxMagnitudeLaunch max_magnitude_launch(Dtype source) {
  constexpr std::array<MaxMagnitudeLaunch, 4> table = {max_magnitude<F64>, max_magnitude<F32>, max_magnitude<Bf16>, max_magnitude<F16>};
  return table[source_index(source)];
}

RotateLaunch rotate_launch(Dtype source) {
  constexpr std::array<RotateLaunch, 4> table = {rotate<F64>, rotate<F32>, rotate<Bf16>, rotate<F16>};
  return table[source_index(source)];
}

ValueErrorsLaunch value_errors_launch(Dtype source) {
  constexpr std::array<ValueErrorsLaunch, 4> table = {value_errors<F64>, value_errors<F32>, value_errors<Bf16>, value_errors<F16>};
  return table[source_index(source)];
}

CastLaunch cast_launch(Dtype source, Dtype target) {
  constexpr std::array<std::array<CastLaunch, 3>, 4> table = {kCastsFrom<F64>, kCastsFrom<F32>, kCastsFrom<Bf16>, kCastsFrom<F16>};
  return table[source_index(source)][target_index(target)];
}

}  // namespace halftone::cuda
