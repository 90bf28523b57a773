#pragma once

#include <cstdint>
#include <vector>

#include <halftone/backend.hpp>

#include "formats/layer_layout.hpp"

namespace halftone::eval {

/// What a weight becomes when Halftone rounds it to the nearest codes and dequantizes it again: the measure for the error
/// of a stored layer of the same format, and of what another format would do.
class Yardstick {
 public:
  /// With ScaleMethod::search the scales of groups are searched for; that of a whole weight is always made from `amax`.
  /// `amax`: the largest magnitude of the whole weight, of rows of `columns`; only formats with a scale for all
  /// of it need one.
  Yardstick(const Backend& backend, const QuantSpec& spec, std::uint64_t columns, float amax);

  /// Whether the weight must be read for its largest magnitude first.
  [[nodiscard]] static bool needs_amax(const QuantSpec& spec);
  /// Restored rows come in multiples of this.
  [[nodiscard]] std::uint64_t row_multiple() const noexcept { return row_multiple_; }

  /// Writes `rows` rows of the weight as they come back to `out`.
  void restore(const float* weight, std::uint64_t rows, float* out);

  /// Whether the format holds what was restored: a conversion refuses a weight that it does not, rotated or as it is.
  [[nodiscard]] bool holds() const noexcept;

 private:
  void restore_whole(const float* weight, std::uint64_t rows, std::uint64_t columns, float* out);

  const Backend& backend_;
  QuantSpec spec_;
  std::uint64_t columns_;
  float amax_;
  std::uint64_t row_multiple_ = 1;
  std::uint32_t largest_ = 0;  ///< magnitude of what was restored, by its bits
  std::vector<std::byte> codes_;
  std::vector<std::byte> scales_;
  std::vector<float> padded_;
};

}  // namespace halftone::eval
