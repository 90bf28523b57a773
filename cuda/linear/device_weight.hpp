#pragma once

#include <halftone/linear.hpp>

#include "linear/decoding_launches.hpp"
#include "linear/linear_lane.hpp"

namespace halftone::cuda {

/// Values rounded to BF16.
[[nodiscard]] std::vector<std::byte> bf16_of(const std::vector<float>& values);

/// A buffer of the lane's device with a copy of `n_bytes` at `data`; returns when they may change.
[[nodiscard]] DeviceBuffer uploaded(const LinearLane& lane, const void* data, std::uint64_t n_bytes);
template <class T>
[[nodiscard]] DeviceBuffer uploaded(const LinearLane& lane, const std::vector<T>& values) {
  return uploaded(lane, values.data(), values.size() * sizeof(T));
}

/// A bias on a device.
struct DeviceBias {
  DeviceBias(const LinearLane& lane, const std::vector<float>& values);
  [[nodiscard]] LinearLane::Bias view() const noexcept { return {exact.as<float>(), rounded.as<std::uint16_t>()}; }

  DeviceBuffer exact;
  DeviceBuffer rounded;
};

/// The codes and scales of a layer on a device.
class DeviceWeight {
 public:
  DeviceWeight(const LinearLane& lane, const LinearLayer& layer);

  [[nodiscard]] const QuantSpec& spec() const noexcept { return spec_; }
  [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
  [[nodiscard]] std::uint64_t columns() const noexcept { return columns_; }
  [[nodiscard]] const std::uint8_t* codes() const noexcept { return codes_.as<std::uint8_t>(); }
  /// Of the groups, row by row; of a whole weight where there is one.
  [[nodiscard]] const std::byte* scales() const noexcept;
  [[nodiscard]] const float* tensor_scale() const noexcept { return tensor_scale_.as<float>(); }
  [[nodiscard]] const float* row_scales() const noexcept { return row_scales_.as<float>(); }
  [[nodiscard]] LinearLane::Bias bias() const noexcept { return bias_.view(); }

  /// What products with what is decoded are to be multiplied with, and a 0: the scale of a weight that has one alone, whose codes
  /// are exact in BF16 without it.  Else null.
  [[nodiscard]] const float* factor() const noexcept { return factor_.as<float>(); }
  /// The weight in BF16, as it was quantized, but for factor(), in the lane's room for it.
  [[nodiscard]] const std::uint16_t* decoded(LinearLane& lane) const;
  /// Whether decode_and_multiply() takes it.
  [[nodiscard]] bool fits_decoding() const;
  /// y = x weightᵀ * factor + bias for at most kDecodingRows rows `x` of BF16; `factor` null for 1.
  void decode_and_multiply(const LinearLane& lane, const std::uint16_t* x, std::uint64_t m, const float* factor, Dtype y_type,
                           void* y) const;

 private:
  [[nodiscard]] std::uint64_t group_width() const;
  [[nodiscard]] std::uint64_t code_pitch() const;

  QuantSpec spec_;
  std::uint64_t rows_;
  std::uint64_t columns_;
  DeviceBuffer codes_;
  DeviceBuffer scales_;          ///< of the groups
  DeviceBuffer backend_scales_;  ///< the same with those of rows between them, where rows have some
  DeviceBuffer tensor_scale_;
  DeviceBuffer row_scales_;
  DeviceBuffer factor_;
  DeviceBias bias_;
};

}  // namespace halftone::cuda
