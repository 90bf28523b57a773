#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace halftone::io {

/// Gives the pages of a shared mapping their memory before they are stored to, so that a full file
/// system is an error code instead of a signal.  Threads of its own go through the mapping from the
/// beginning, once run_ahead() or ensure() is called; whoever needs a part that they have not reached does it at once.
class PageSupply {
 public:
  /// Pages of [mapped, mapped + n_bytes), with `threads` threads ahead of those that ask; 0 is fine.
  PageSupply(std::byte* mapped, std::uint64_t n_bytes, unsigned threads);
  PageSupply(const PageSupply&) = delete;
  PageSupply& operator=(const PageSupply&) = delete;
  ~PageSupply();

  /// Starts the threads, unless they are.
  void run_ahead();

  /// Returns when the pages of [offset, offset + n_bytes) are there, 0, or the errno that prevents it.
  [[nodiscard]] int ensure(std::uint64_t offset, std::uint64_t n_bytes);

 private:
  enum State : std::uint8_t { untouched, busy, ready };

  [[nodiscard]] int supply(std::size_t chunk);
  void supply_all();

  std::byte* mapped_;
  std::uint64_t n_bytes_;
  unsigned n_threads_;
  std::size_t n_chunks_;
  std::unique_ptr<std::atomic<std::uint8_t>[]> states_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::once_flag started_;
  std::vector<std::thread> threads_;
};

}  // namespace halftone::io
