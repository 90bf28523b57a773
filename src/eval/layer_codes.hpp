#pragma once

#include <halftone/eval.hpp>

#include "formats/stored_matrix.hpp"

namespace halftone::eval {

/// Counts codes, scales and clipped weights of a stored layer, a band of rows at a time.
class LayerCodes {
 public:
  /// `stored` and `spec` must outlive this.
  LayerCodes(const formats::StoredMatrix& stored, const QuantSpec& spec);

  /// Adds rows [first, first + count), whose original values are `weight`.  Bands come in order.
  void add(const float* weight, std::uint64_t first, std::uint64_t count);

  [[nodiscard]] const CodeHistogram& codes() const noexcept { return codes_; }
  [[nodiscard]] ScaleHistogram scales() const;
  [[nodiscard]] std::uint64_t clipped() const noexcept { return clipped_; }

 private:
  /// The weights that a group can hold without clipping.
  struct Range {
    float low;
    float high;
  };
  [[nodiscard]] Range range_of(float group_scale, float row_scale) const;
  void count_scale(float scale);
  /// Adds elements [begin, end) of a row of the layout, of which `weight` are the values.
  void add_row(const float* weight, std::uint64_t row, std::uint64_t begin, std::uint64_t end);

  const formats::StoredMatrix& stored_;
  const QuantSpec& spec_;
  CodeHistogram codes_;
  std::vector<std::uint8_t> by_value_;  ///< codes that are numbers, by what they stand for
  std::vector<std::uint64_t> bins_;     ///< of scales, by the upper bits of a binary32
  std::uint64_t zero_scales_ = 0;
  std::uint64_t not_finite_ = 0;
  std::uint64_t clipped_ = 0;
  std::vector<std::uint8_t> row_codes_;
  std::vector<float> rotated_;
};

}  // namespace halftone::eval
