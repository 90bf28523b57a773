#include "exec/store_floats.hpp"

#include <halftone/codec/hd.hpp>

#include "exec/float_check.hpp"

namespace halftone::exec {
namespace {

/// Finite binary32 values from here on round to infinity in F16.
constexpr float kF16Overflow = 65520.0F;

}  // namespace

void store_floats(const Context& context, const TensorInfo& tensor, const std::vector<float>& values, std::uint64_t n, std::byte* out) {
  if (tensor.dtype == Dtype::F16) {
    const MatrixView view{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, 1, n};
    const std::uint32_t magnitude = context.backend.max_magnitude(view);
    if (magnitude >= codec::bits(kF16Overflow)) {
      TensorInfo as_float = tensor;
      as_float.dtype = Dtype::F32;
      constexpr float below = 65519.996F;  // the largest binary32 under the limit
      reject_first_beyond(context.backend, as_float, {view.data, view.bytes()}, below, 65504.0F, false);
    }
  }
  context.backend.from_float(values.data(), n, tensor.dtype, out);
}

}  // namespace halftone::exec
