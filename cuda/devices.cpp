#include "devices.hpp"

#include <algorithm>
#include <exception>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/fail.hpp"
#include "runtime/check.hpp"

namespace halftone::cuda {
namespace {

/// What a lane holds on the device while it works on tiles of the usual size.
constexpr std::uint64_t kLaneBytes = 4 * kTileBytes;
/// More threads at once than these only wait for one another in the driver.
constexpr std::uint64_t kMostLanes = 8;

/// Starts `device`.  That takes memory of the device, more than Halftone's own buffers, and how much nobody tells beforehand.
void start_device(int device) {
  // Waiting threads sleep: others have work for their cores.
  const cudaError_t status = cudaInitDevice(device, cudaDeviceScheduleBlockingSync, cudaInitDeviceFlagsAreValid);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    fail(ErrorKind::device,
         "--device cuda:{}: too little of its memory is free: CUDA itself takes some hundred MiB, and Halftone {} MiB or more; "
         "nvidia-smi shows who holds the rest",
         device, kLaneBytes >> 20);
  }
  check(status, "start a device");
  check(cudaSetDevice(device), "choose a device");
}

/// Bytes of the current device that may be used.
std::uint64_t budget_of(std::uint64_t wanted) {
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "ask for free device memory");
  const std::uint64_t most = free / 5 * 4;
  return wanted == 0 ? most : std::min<std::uint64_t>(wanted, most);
}

}  // namespace

Devices::Devices(std::vector<int> ordinals, std::string product, std::uint64_t memory)
    : ordinals_(std::move(ordinals)),
      memory_(memory),
      product_(std::move(product)),
      name_(fmt::format("cuda:{} ({})", fmt::join(ordinals_, ", "), product_)) {
  if (ordinals_.size() > 1) starting_ = std::thread([this] { start_others(); });
  try {
    start_first();
    end_first();
  } catch (...) {
    stop_starting();
    throw;
  }
}

Devices::~Devices() { stop_starting(); }

void Devices::start_first() {
  const int device = ordinals_.front();
  start_device(device);
  const std::uint64_t budget = budget_of(memory_);
  const std::uint64_t lanes = std::clamp<std::uint64_t>(budget / 2 / kLaneBytes, 1, kMostLanes);
  const std::uint64_t rest = budget > lanes * kLaneBytes ? budget - lanes * kLaneBytes : 0;
  first_ = std::make_unique<Place>(device, lanes, rest);
  engines_.add(device, rest);
}

void Devices::end_first() {
  first_is_done_ = true;
  first_is_done_.notify_all();
}

void Devices::stop_starting() {
  ends_ = true;
  end_first();
  if (starting_.joinable()) starting_.join();
}

void Devices::start_others() {
  try {
    for (std::size_t i = 1; i < ordinals_.size() && !ends_; ++i) {
      start_device(ordinals_[i]);
      const std::uint64_t budget = budget_of(memory_);
      first_is_done_.wait(false);
      if (!ends_) engines_.add(ordinals_[i], budget);
    }
  } catch (...) {
    engines_.give_up(std::current_exception());
  }
}

std::string Devices::failed() const {
  const std::exception_ptr why = engines_.why_given_up();
  if (!why) return {};
  try {
    std::rethrow_exception(why);
  } catch (const std::exception& error) {
    return fmt::format("the other GPUs had done the work when one failed to start: {}", error.what());
  }
}

}  // namespace halftone::cuda
