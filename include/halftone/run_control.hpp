#pragma once

#include <atomic>
#include <cstdint>

namespace halftone {

/// What another thread may watch and ask of a running conversion.
struct RunControl {
  std::atomic<bool> stop{false};              ///< set it: the run ends with ErrorKind::interrupted
  std::atomic<std::uint64_t> done_bytes{0};   ///< output bytes written so far
  std::atomic<std::uint64_t> total_bytes{0};  ///< output bytes in all; 0 before the plan exists
};

}  // namespace halftone
