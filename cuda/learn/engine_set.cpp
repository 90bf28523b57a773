#include "learn/engine_set.hpp"

#include <algorithm>
#include <utility>

#include "base/fail.hpp"
#include "base/text.hpp"

namespace halftone::cuda {

void EngineSet::add(int device, std::uint64_t bytes) {
  auto pool = std::make_unique<EnginePool>(device, bytes, [this] { changed(); });
  {
    const std::lock_guard lock(mutex_);
    pools_.push_back(std::move(pool));
  }
  changed_.notify_all();
}

void EngineSet::give_up(std::exception_ptr why) {
  {
    const std::lock_guard lock(mutex_);
    given_up_ = std::move(why);
  }
  changed_.notify_all();
}

std::exception_ptr EngineSet::why_given_up() const {
  const std::lock_guard lock(mutex_);
  return given_up_;
}

std::uint64_t EngineSet::bytes() const {
  const std::lock_guard lock(mutex_);
  return pools_.front()->bytes();
}

std::shared_ptr<learn::Engine> EngineSet::acquire(std::uint64_t bytes) {
  if (bytes > this->bytes()) {
    fail(ErrorKind::device, "its codes are chosen with {} of device memory, and {} is available", base::human_bytes(bytes),
         base::human_bytes(this->bytes()));
  }
  std::unique_lock lock(mutex_);
  while (true) {
    if (given_up_) std::rethrow_exception(given_up_);
    if (EnginePool* pool = reserve(bytes)) {
      lock.unlock();
      return pool->take(bytes);
    }
    changed_.wait(lock);
  }
}

/// Reserves at the device with the fewest engines in use that has room; null where none has.
EnginePool* EngineSet::reserve(std::uint64_t bytes) {
  std::vector<std::pair<std::size_t, EnginePool*>> by_use;
  for (const auto& pool : pools_) by_use.emplace_back(pool->in_use(), pool.get());
  std::stable_sort(by_use.begin(), by_use.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [in_use, pool] : by_use) {
    if (pool->reserve(bytes)) return pool;
  }
  return nullptr;
}

/// Whoever is about to wait has seen the change, or is woken.
void EngineSet::changed() {
  { const std::lock_guard lock(mutex_); }
  changed_.notify_all();
}

}  // namespace halftone::cuda
