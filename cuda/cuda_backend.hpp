#pragma once

// The CUDA backend as the rest of the library sees it: no CUDA header.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <halftone/backend.hpp>

namespace halftone::cuda {

/// A GPU and whether kernels of this build run on it.
struct Device {
  int ordinal = 0;
  std::string name;
  std::string architecture;  ///< "9.0"
  std::uint64_t total_bytes = 0;
  std::string obstacle;  ///< why it cannot be used; empty where it can
};

/// What a look at the machine found.
struct Findings {
  std::string obstacle;  ///< why there is no device at all (no driver, driver too old, no GPU); empty where there are some
  std::string driver;    ///< CUDA version that the driver supports, "13.0"; empty without a driver
  std::vector<Device> devices;

  [[nodiscard]] std::vector<int> usable() const;
  /// One sentence: why nothing can run; empty where something can.
  [[nodiscard]] std::string why_unusable() const;
};

/// Looks at drivers and devices; throws nothing and needs nothing.
[[nodiscard]] Findings find_devices();

struct BackendOptions {
  std::vector<int> devices;         ///< ordinals, at least one
  std::uint64_t device_memory = 0;  ///< bytes of each device that may be used; 0 for most of what is free
};

/// The backend of the given devices.  Throws device where one cannot be used.
[[nodiscard]] std::unique_ptr<Backend> make_backend(const BackendOptions& options);

}  // namespace halftone::cuda
