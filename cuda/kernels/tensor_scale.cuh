#pragma once

#include <halftone/codec/hd.hpp>

#include "formats/format_traits.hpp"

namespace halftone::cuda {

/// Where kernels find the largest magnitude of a whole weight.
struct TensorAmax {
  float value = 0;
  const std::uint32_t* bits = nullptr;  ///< on the device, instead of `value`, where it was just measured

  [[nodiscard]] __device__ float read() const { return bits != nullptr ? codec::from_bits(*bits) : value; }
};

/// The scale of the whole weight, 1 for formats without one.
template <class Format>
[[nodiscard]] __device__ float tensor_scale(const TensorAmax& amax) {
  if constexpr (formats::TwoLevel<Format>) {
    return Format::tensor_scale(amax.read());
  } else {
    return 1.0F;
  }
}

}  // namespace halftone::cuda
