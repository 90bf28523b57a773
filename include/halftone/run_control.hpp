#pragma once

#include <atomic>
#include <cstdint>

namespace halftone {

/// What another thread may watch and ask of a running conversion.
struct RunControl {
  std::atomic<bool> stop{false};              ///< set it: the run ends with ErrorKind::interrupted
  std::atomic<std::uint64_t> done_bytes{0};   ///< output bytes written so far
  std::atomic<std::uint64_t> total_bytes{0};  ///< output bytes in all; 0 before the plan exists
  std::atomic<std::uint64_t> kept_bytes{0};   ///< those of done_bytes that an interrupted run had written

  // When all layers that learn will be done, in nanoseconds of std::chrono::steady_clock; 0 without such layers.
  std::atomic<std::uint64_t> foreseen_end_ns{0};        ///< by what is known now
  std::atomic<std::uint64_t> first_foreseen_end_ns{0};  ///< by what was known before the first of them

  // What the worker threads have spent their time on so far, in nanoseconds, all of them together.
  std::atomic<std::uint64_t> reading_ns{0};    ///< waiting for the input
  std::atomic<std::uint64_t> computing_ns{0};  ///< computing, copies to and from a device included
  std::atomic<std::uint64_t> writing_ns{0};    ///< waiting for the output
};

}  // namespace halftone
