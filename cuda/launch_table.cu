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

template <class Source, class Target>
constexpr CastLaunch cast_of() {
  if constexpr (Written<Target>) return cast<Source, Target>;
  return nullptr;
}

template <class Launch>
using OfFloats = FormatLaunches::OfFloats<Launch>;

template <class Source>
constexpr OfFloats<CastLaunch> kCastsFrom = {
#define HALFTONE_FLOAT(name, type, torch, use) cast_of<Source, type>(),
#include <halftone/float_type.def>
#undef HALFTONE_FLOAT
};

/// What there is for a source type.
struct SourceLaunches {
  MaxMagnitudeLaunch max_magnitude;
  RotateLaunch rotate;
  ValueErrorsLaunch value_errors;
  OfFloats<CastLaunch> casts;
};

const SourceLaunches& launches_from(Dtype source) {
  static constexpr OfFloats<SourceLaunches> table = {{
#define HALFTONE_FLOAT(name, type, torch, use) {max_magnitude<type>, rotate<type>, value_errors<type>, kCastsFrom<type>},
#include <halftone/float_type.def>
#undef HALFTONE_FLOAT
  }};
  return table[formats::float_index(source)];
}

}  // namespace

const FormatLaunches& launches_of(const FormatDescriptor& format) {
  static const std::array table = {
#define HALFTONE_FORMAT(folder) launches_of_##folder(),
#include "formats/formats.def"
#undef HALFTONE_FORMAT
  };
  return table[format.index()];
}

MaxMagnitudeLaunch max_magnitude_launch(Dtype source) { return launches_from(source).max_magnitude; }
RotateLaunch rotate_launch(Dtype source) { return launches_from(source).rotate; }
ValueErrorsLaunch value_errors_launch(Dtype source) { return launches_from(source).value_errors; }

CastLaunch cast_launch(Dtype source, Dtype target) { return launches_from(source).casts[formats::float_index(target)]; }

}  // namespace halftone::cuda
