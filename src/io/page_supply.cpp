#include "io/page_supply.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace halftone::io {
namespace {

constexpr std::uint64_t kChunkBytes = 4 << 20;

/// What is supplied by one call, which holds the lock of the address space: whoever maps memory meanwhile, as the start of a
/// GPU does a hundred times, waits for all calls under way.
constexpr std::uint64_t kStepBytes = 256 << 10;

/// Supplies pages of [begin, begin + n_bytes); returns 0 or an errno.
int populate(std::byte* begin, std::uint64_t n_bytes) {
  for (std::uint64_t at = 0; at < n_bytes;) {
    if (::madvise(begin + at, std::min(kStepBytes, n_bytes - at), MADV_POPULATE_WRITE) == 0) {
      at += kStepBytes;
    } else if (errno != EINTR && errno != EAGAIN) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

PageSupply::PageSupply(std::byte* mapped, std::uint64_t n_bytes, unsigned threads)
    : mapped_(mapped),
      n_bytes_(n_bytes),
      n_threads_(threads),
      n_chunks_((n_bytes + kChunkBytes - 1) / kChunkBytes),
      states_(std::make_unique<std::atomic<std::uint8_t>[]>(n_chunks_)) {}

PageSupply::~PageSupply() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
}

void PageSupply::run_ahead() {
  std::call_once(started_, [this] {
    try {
      for (unsigned i = 0; i < n_threads_ && i < n_chunks_; ++i) threads_.emplace_back([this] { supply_all(); });
    } catch (const std::system_error&) {
      // Without them every window supplies its own pages.
    }
  });
}

int PageSupply::ensure(std::uint64_t offset, std::uint64_t n_bytes) {
  if (n_bytes == 0) return 0;
  run_ahead();
  for (std::size_t chunk = offset / kChunkBytes; chunk <= (offset + n_bytes - 1) / kChunkBytes; ++chunk) {
    while (states_[chunk] != ready) {
      states_[chunk].wait(busy);
      if (const int error = supply(chunk); error != 0) return error;
    }
  }
  return 0;
}

/// Supplies `chunk` unless another thread has begun to.  Returns 0 or an errno; the chunk is then
/// untouched again.
int PageSupply::supply(std::size_t chunk) {
  std::uint8_t expected = untouched;
  if (!states_[chunk].compare_exchange_strong(expected, busy)) return 0;
  const std::uint64_t begin = chunk * kChunkBytes;
  const int error = populate(mapped_ + begin, std::min(kChunkBytes, n_bytes_ - begin));
  states_[chunk] = error == 0 ? ready : untouched;
  states_[chunk].notify_all();
  return error;
}

void PageSupply::supply_all() {
  for (std::size_t chunk = next_++; chunk < n_chunks_ && !stop_; chunk = next_++) {
    // An error is left to the thread that needs the chunk: it knows what to say.
    if (supply(chunk) != 0) return;
  }
}

}  // namespace halftone::io
