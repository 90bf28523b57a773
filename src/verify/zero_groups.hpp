#pragma once

#include <cstdint>
#include <string>

#include "formats/layer_layout.hpp"
#include "formats/stored_matrix.hpp"
#include "verify/findings.hpp"

namespace halftone::verify {

/// Counts the groups of a weight that share a scale and hold only zeros.
class ZeroGroups {
 public:
  ZeroGroups(const QuantSpec& spec, formats::Extent extent);

  /// Takes the next `rows` rows of the weight: whole rows of blocks in a format of square blocks.
  void add(const float* values, std::uint64_t rows);
  /// Reports what was found once all rows were added.
  void report(const std::string& layer, Findings& findings);

 private:
  void add_run(const float* values, std::uint64_t n);
  void add_blocks(const float* values, std::uint64_t rows);
  void close_group();

  ScaleGrid grid_;
  std::uint64_t columns_;
  std::uint64_t width_;       ///< elements of a run; columns of a square block
  bool restarts_;             ///< each row begins a group
  std::uint64_t filled_ = 0;  ///< elements of the open run so far
  bool all_zero_ = true;      ///< of those
  std::uint64_t groups_ = 0;
  std::uint64_t zero_groups_ = 0;
};

}  // namespace halftone::verify
