#include "exec/store_floats.hpp"

#include <optional>

#include <halftone/codec/hd.hpp>

#include "exec/float_check.hpp"

namespace halftone::exec {
namespace {

/// Where finite binary32 values begin to round to infinity.
struct Overflow {
  float limit;    ///< the largest value that does not
  float largest;  ///< the largest value of the type
};

std::optional<Overflow> overflow_of(Dtype dtype) {
  // Half a unit in the last place above the largest value rounds up; the limit is just below.
  if (dtype == Dtype::F16) return Overflow{codec::from_bits(0x477F'EFFFU), 65504.0F};
  if (dtype == Dtype::BF16) return Overflow{codec::from_bits(0x7F7F'7FFFU), codec::from_bits(0x7F7F'0000U)};
  return std::nullopt;
}

}  // namespace

void store_floats(const Context& context, const TensorInfo& tensor, std::uint64_t first, const std::vector<float>& values, std::uint64_t n,
                  std::byte* out) {
  if (const auto overflow = overflow_of(tensor.dtype)) {
    const MatrixView view{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, 1, n};
    if (context.backend.max_magnitude(view) > codec::bits(overflow->limit)) {
      TensorInfo as_float = tensor;
      as_float.dtype = Dtype::F32;
      reject_first_beyond(context.backend, as_float, {view.data, view.bytes()}, overflow->limit, overflow->largest, false, first);
    }
  }
  context.backend.from_float(values.data(), n, tensor.dtype, out);
}

}  // namespace halftone::exec
