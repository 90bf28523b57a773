#pragma once

#include <cuda_runtime.h>

#include <array>
#include <cstdint>

#include <halftone/format.hpp>

#include "formats/float_index.hpp"

namespace halftone::cuda {

/// A weight to quantize; all pointers are to device memory.
struct QuantizeArgs {
  const void* source = nullptr;  ///< rows × columns, row-major, aligned to its element
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint32_t block_size = 0;             ///< of a block format
  std::uint32_t group_size = 0;             ///< of a format that leaves it to the user
  std::uint32_t rotation_group = 0;         ///< 0 for no rotation
  bool search = false;                      ///< choose the scales of groups by their squared errors
  float* rotated = nullptr;                 ///< room for the rotated weight, rows × columns where it is rotated
  float tensor_amax = 0;                    ///< of a format with a scale of the whole weight
  const std::uint32_t* measured = nullptr;  ///< its bits on the device, instead of tensor_amax, where they were just measured
  std::uint8_t* codes = nullptr;            ///< rows of codes, padded as Storage has it
  std::byte* scales = nullptr;              ///< of the groups, row by row, with that of the row behind them where it has one
  std::uint32_t* largest = nullptr;  ///< raised to the bits of the largest magnitude, except by formats with a scale of the whole weight
};

/// Codes to dequantize; all pointers are to device memory.
struct DequantizeArgs {
  const std::uint8_t* codes = nullptr;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  std::uint32_t block_size = 0;
  std::uint32_t group_size = 0;
  const std::byte* scales = nullptr;    ///< of the groups, or the F32 of ScaleGrid::tensor
  const float* tensor_scale = nullptr;  ///< of formats of two levels
  void* out = nullptr;                  ///< rows × columns; rotated weights stay so
};

/// A weight whose errors to add; all pointers are to device memory.
struct ErrorArgs {
  const void* source = nullptr;
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  const float* values = nullptr;       ///< rows × columns, where there is one candidate whose values are known
  const float* amaxes = nullptr;       ///< of the candidates, on the host, where values are found on the way
  float unit = 1;                      ///< differences are multiplied with it
  unsigned long long* sums = nullptr;  ///< for each candidate an ErrorSum, added to
};

/// What runs for a format; null where the kernels do not serve it.  All launches return at once; work goes into the stream.
struct FormatLaunches {
  using Quantize = void (*)(const QuantizeArgs&, cudaStream_t);
  using Dequantize = void (*)(const DequantizeArgs&, cudaStream_t);
  using Errors = void (*)(const ErrorArgs&, cudaStream_t);
  template <class Launch>
  using OfFloats = std::array<Launch, formats::kFloatCount>;  ///< by formats::float_index()

  OfFloats<Quantize> quantize = {};      ///< by source
  OfFloats<Dequantize> dequantize = {};  ///< by target
  OfFloats<Errors> errors = {};          ///< of all candidates for the one scale of a weight; by source
};

/// Raises *largest to the bits of the largest magnitude of `n` elements.
using MaxMagnitudeLaunch = void (*)(const void* source, std::uint64_t n, std::uint32_t* largest, cudaStream_t stream);
/// Rotates `n` elements in groups of `size` (formats/rotation.hpp); `source` and `out` may be the same.
using RotateLaunch = void (*)(const void* source, std::uint64_t n, std::uint32_t size, float* out, cudaStream_t stream);
/// Converts `n` elements.
using CastLaunch = void (*)(const void* source, std::uint64_t n, void* out, cudaStream_t stream);

/// Adds the errors of values that lie on the device.
using ValueErrorsLaunch = void (*)(const ErrorArgs&, cudaStream_t stream);

[[nodiscard]] const FormatLaunches& launches_of(const FormatDescriptor& format);
[[nodiscard]] MaxMagnitudeLaunch max_magnitude_launch(Dtype source);
[[nodiscard]] RotateLaunch rotate_launch(Dtype source);
/// Null for targets that are not written.
[[nodiscard]] CastLaunch cast_launch(Dtype source, Dtype target);
[[nodiscard]] ValueErrorsLaunch value_errors_launch(Dtype source);

}  // namespace halftone::cuda
