#pragma once

#include <algorithm>
#include <cstdint>

#include "base/checked.hpp"

namespace halftone::exec {

/// A cut of `total` units (rows, bytes) into runs of `step`.
class Bands {
 public:
  Bands() = default;
  /// Runs of as many units as fit into `band_bytes`, at least and a multiple of `multiple`.
  Bands(std::uint64_t total, std::uint64_t unit_bytes, std::uint64_t multiple, std::uint64_t band_bytes)
      : total_(total), step_(std::max(band_bytes / std::max<std::uint64_t>(unit_bytes, 1) / multiple, std::uint64_t{1}) * multiple) {}

  [[nodiscard]] std::uint64_t count() const noexcept { return base::ceil_div(total_, step_); }
  [[nodiscard]] std::uint64_t first(std::uint64_t band) const noexcept { return band * step_; }
  [[nodiscard]] std::uint64_t size(std::uint64_t band) const noexcept { return std::min(step_, total_ - first(band)); }

 private:
  std::uint64_t total_ = 0;
  std::uint64_t step_ = 1;
};

}  // namespace halftone::exec
