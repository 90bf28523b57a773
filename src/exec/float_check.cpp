#include "exec/float_check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/fail.hpp"

namespace halftone::exec {
namespace {

/// "row 3, column 7" of a matrix, "element 12" of anything else.
std::string position(const TensorInfo& tensor, std::uint64_t element) {
  if (tensor.shape.size() != 2) return fmt::format("element {}", element);
  return fmt::format("row {}, column {} (element {})", element / tensor.shape[1], element % tensor.shape[1], element);
}

/// "NaN", "infinity", or the number at `data` that binary32 cannot hold.
std::string what_is(Dtype dtype, const std::byte* data, float value) {
  double original = 0;
  if (dtype == Dtype::F64) std::memcpy(&original, data, sizeof original);
  if (dtype == Dtype::F64 && std::isfinite(original)) return fmt::format("{}", original);
  return std::isnan(value) ? "NaN" : "infinity";
}

}  // namespace

void reject_first_beyond(const Backend& backend, const TensorInfo& tensor, std::span<const std::byte> data, float limit, float largest,
                         bool reject_not_finite, std::uint64_t first) {
  constexpr std::uint64_t chunk = 1 << 16;
  const std::uint64_t element_bytes = bits_of(tensor.dtype) / 8;
  const std::uint64_t n = data.size() / element_bytes;
  std::vector<float> values(std::min(chunk, n));
  for (std::uint64_t at = 0; at < n; at += chunk) {
    const std::uint64_t count = std::min(chunk, n - at);
    backend.to_float(tensor.dtype, data.data() + at * element_bytes, count, values.data());
    for (std::uint64_t i = 0; i < count; ++i) {
      const float value = values[i];
      if (!std::isfinite(value)) {
        if (!reject_not_finite) continue;
        fail(ErrorKind::not_finite, "the tensor '{}' holds {} at {}, and only finite binary32 values can be quantized", tensor.name,
             what_is(tensor.dtype, data.data() + (at + i) * element_bytes, value), position(tensor, first + at + i));
      }
      if (std::fabs(value) > limit) {
        fail(ErrorKind::out_of_range, "the tensor '{}' holds {} at {}, and the output type holds at most {}", tensor.name, value,
             position(tensor, first + at + i), largest);
      }
    }
  }
}

}  // namespace halftone::exec
