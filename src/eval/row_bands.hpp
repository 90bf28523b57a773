#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "formats/stored_matrix.hpp"

namespace halftone::eval {

/// Values read at a time; sums run over them in order, so that figures do not depend on threads.
inline constexpr std::uint64_t kBandValues = 1 << 16;

/// Throws interrupted where `stop` is set.
inline void check_stop(const std::atomic<bool>& stop) {
  if (stop.load(std::memory_order_relaxed)) fail(ErrorKind::interrupted, "interrupted");
}

/// Calls work(first, count) for bands of rows, in order, that begin at multiples of `multiple`.  Throws interrupted.
template <class Work>
void for_each_band(const std::atomic<bool>& stop, formats::Extent extent, std::uint64_t multiple, const Work& work) {
  const std::uint64_t wanted = std::max(kBandValues / std::max<std::uint64_t>(extent.columns, 1), std::uint64_t{1});
  const std::uint64_t step = base::round_up(wanted, multiple);
  for (std::uint64_t row = 0; row < extent.rows; row += step) {
    check_stop(stop);
    work(row, std::min(step, extent.rows - row));
  }
}

}  // namespace halftone::eval
