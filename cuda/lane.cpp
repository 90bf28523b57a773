#include "lane.hpp"

namespace halftone::cuda {
namespace {

/// Replaces `buffer` by a larger one where it is smaller than `n_bytes`; the old one goes first.
template <class Buffer, class... Stream>
void grow(Buffer& buffer, std::size_t n_bytes, Stream... stream) {
  if (buffer.size() >= n_bytes) return;
  buffer = Buffer();
  buffer = Buffer(n_bytes, stream...);
}

}  // namespace

void Lane::reserve(std::size_t in_bytes, std::size_t out_bytes, const OnDevice& on_device) {
  grow(host_in, in_bytes);
  grow(host_out, out_bytes);
  grow(device_in, on_device.in_bytes, stream.get());
  grow(device_out, on_device.out_bytes, stream.get());
}

LanePool::Lease LanePool::acquire() {
  check(cudaSetDevice(device_), "choose a device");
  {
    std::unique_lock lock(mutex_);
    returned_.wait(lock, [this] { return !free_.empty() || made_ < most_; });
    if (!free_.empty()) {
      std::unique_ptr<Lane> lane = std::move(free_.back());
      free_.pop_back();
      return {*this, std::move(lane)};
    }
    ++made_;
  }
  try {
    return {*this, std::make_unique<Lane>(device_)};
  } catch (...) {
    const std::lock_guard lock(mutex_);
    --made_;
    throw;
  }
}

void LanePool::give_back(std::unique_ptr<Lane> lane) {
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(lane));
  }
  returned_.notify_one();
}

}  // namespace halftone::cuda
