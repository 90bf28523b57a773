#include <cuda_runtime.h>

#include <sstream>

#include <fmt/format.h>

#include "cuda_backend.hpp"

namespace halftone::cuda {
namespace {

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

/// In the words of a user: what is missing and what would help.
std::string explain(cudaError_t status) {
  switch (status) {
    case cudaErrorInsufficientDriver: {
      int driver = 0;
      if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) return "no NVIDIA driver is installed";
      return fmt::format("the NVIDIA driver is too old: it supports CUDA {}, and {} is needed", version_text(driver),
                         version_text(CUDART_VERSION));
    }
    case cudaErrorNoDevice: return "the NVIDIA driver finds no GPU";
    default: return fmt::format("the NVIDIA driver does not answer: {}", cudaGetErrorString(status));
  }
}

/// Whether this build has machine code for a compute capability.  HALFTONE_CUDA_ARCHITECTURES lists
/// what it was built for as CMake writes it: "90a-real" runs on 9.0 alone, "80-real" on 8.0 to 8.9,
/// "80" also on what came later.
bool has_code_for(int major, int minor) {
  std::istringstream list(HALFTONE_CUDA_ARCHITECTURES);
  for (std::string entry; std::getline(list, entry, ',');) {
    const int built = std::stoi(entry);
    const bool exact = entry.substr(0, entry.find('-')).ends_with('a');
    const bool any_later = entry.find("-real") == std::string::npos;
    const int have = major * 10 + minor;
    if (have == built || (!exact && have > built && (any_later || major == built / 10))) return true;
  }
  return false;
}

Device describe(int ordinal) {
  Device device{.ordinal = ordinal, .name = {}, .architecture = {}, .obstacle = {}};
  cudaDeviceProp properties{};
  const cudaError_t status = cudaGetDeviceProperties(&properties, ordinal);
  if (status != cudaSuccess) {
    device.obstacle = cudaGetErrorString(status);
    return device;
  }
  device.name = properties.name;
  device.architecture = fmt::format("{}.{}", properties.major, properties.minor);
  device.total_bytes = properties.totalGlobalMem;
  if (!has_code_for(properties.major, properties.minor)) {
    device.obstacle = fmt::format("this build has no kernels for compute capability {}", device.architecture);
  }
  return device;
}

}  // namespace

std::vector<int> Findings::usable() const {
  std::vector<int> ordinals;
  for (const Device& device : devices) {
    if (device.obstacle.empty()) ordinals.push_back(device.ordinal);
  }
  return ordinals;
}

std::string Findings::why_unusable() const {
  if (!obstacle.empty()) return obstacle;
  if (!usable().empty()) return {};
  return fmt::format("'{}' cannot be used: {}", devices.front().name, devices.front().obstacle);
}

Findings find_devices() {
  Findings findings;
  int version = 0;
  if (cudaDriverGetVersion(&version) == cudaSuccess && version > 0) findings.driver = version_text(version);
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  (void)cudaGetLastError();
  if (status != cudaSuccess || count == 0) {
    findings.obstacle = explain(status == cudaSuccess ? cudaErrorNoDevice : status);
    return findings;
  }
  for (int i = 0; i < count; ++i) findings.devices.push_back(describe(i));
  return findings;
}

}  // namespace halftone::cuda
