#pragma once

#include <cstddef>
#include <vector>

namespace halftone::learn {

/// What another device of the same kind costs, in seconds.
struct DeviceCost {
  double start = 0;  ///< until it has its first layer; devices start one after the other
  double delay = 0;  ///< by which its start and its end hold up the run
};

/// How many of `most` devices end a run soonest whose layers take `seconds`, where one device has been started.  A device
/// takes the next layer, of those that are left the longest, whenever it is done with one.
[[nodiscard]] std::size_t device_count(const std::vector<double>& seconds, std::size_t most, const DeviceCost& cost);

}  // namespace halftone::learn
