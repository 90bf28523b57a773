#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <halftone/backend.hpp>

namespace halftone::api {

/// Opens the backend that `device` names:
///   cpu         the processor
///   cuda        the first usable GPU; cuda:1 and cuda:0,1 name which
///   auto        cuda where a GPU is usable, else cpu
/// `device_memory`: bytes of each GPU that may be used, 0 for most of what is free.  `most`: no more than so many of the GPUs
/// that are named, the first ones.
/// Throws usage for another text, device where the device named cannot be used.
[[nodiscard]] std::unique_ptr<Backend> open_backend(const std::string& device, std::uint64_t device_memory = 0,
                                                    std::size_t most = SIZE_MAX);

/// The ordinals that `device` names, in its order; none for auto, cpu and cuda.  Looks at no device.  Throws usage.
[[nodiscard]] std::vector<int> ordinals_named(const std::string& device);

/// Whether `device` lets GPUs be used.  Throws usage.
[[nodiscard]] bool may_use_gpus(const std::string& device);

/// Throws usage or device as open_backend() would, and starts no device.
void check_device_name(const std::string& device);

/// The ordinals of the GPUs that `device` names, at least one.  Throws usage, device.
[[nodiscard]] std::vector<int> gpus_named(const std::string& device);

/// Loads what learned rounding takes on `device`, so that it is there when the device is.
void prepare_learning(const std::string& device);

/// A line about a device for people, and whether it can be used.
struct DeviceNote {
  bool usable = false;
  std::string text;
};

/// What was found on this machine besides the processor; one line at least.
[[nodiscard]] std::vector<DeviceNote> describe_gpus();

/// The libraries of the CUDA toolkit that are opened when they are needed; none for a build without CUDA.
[[nodiscard]] std::vector<DeviceNote> describe_libraries();

}  // namespace halftone::api
