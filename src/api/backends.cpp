#include "api/backends.hpp"

#include <fmt/format.h>

#include "base/fail.hpp"
#include "base/text.hpp"
#include "cpu/cpu_backend.hpp"
#if HALFTONE_HAS_CUDA
#include "cuda_backend.hpp"
#include "toolkit_libraries.hpp"
#endif

namespace halftone::api {
namespace {

/// `--device` taken apart.
struct DeviceName {
  std::string kind;           ///< auto, cpu or cuda
  std::vector<int> ordinals;  ///< of cuda; empty where none is named
};

[[noreturn]] void refuse(const std::string& device) {
  fail(ErrorKind::usage, "--device takes auto, cpu, cuda, or cuda with numbers as in cuda:0,1, not '{}'{}", device,
       base::did_you_mean(device, {"auto", "cpu", "cuda"}));
}

int ordinal_from(const std::string& text, const std::string& device) {
  if (text.empty() || text.size() > 3 || text.find_first_not_of("0123456789") != std::string::npos) refuse(device);
  return std::stoi(text);
}

DeviceName parse(const std::string& device) {
  const std::size_t colon = device.find(':');
  DeviceName name{.kind = device.substr(0, colon), .ordinals = {}};
  if (name.kind != "auto" && name.kind != "cpu" && name.kind != "cuda") refuse(device);
  if (colon == std::string::npos) return name;
  if (name.kind != "cuda") refuse(device);
  for (std::size_t at = colon + 1;;) {
    const std::size_t comma = device.find(',', at);
    const int ordinal = ordinal_from(device.substr(at, comma - at), device);
    for (const int other : name.ordinals) {
      if (other == ordinal) refuse(device);
    }
    name.ordinals.push_back(ordinal);
    if (comma == std::string::npos) return name;
    at = comma + 1;
  }
}

/// Why no GPU can be used; empty where one can.
std::string why_no_gpu() {
#if HALFTONE_HAS_CUDA
  return cuda::find_devices().why_unusable();
#else
  return "this build has no CUDA backend";
#endif
}

[[noreturn]] void refuse_gpu(const std::string& device, const std::string& why) {
  fail(ErrorKind::device, "--device {}: {}; --device cpu converts on the processor", device, why);
}

}  // namespace

std::vector<int> gpus_named(const std::string& device) {
  const DeviceName name = parse(device);
  if (const std::string why = why_no_gpu(); !why.empty()) refuse_gpu(device, why);
#if HALFTONE_HAS_CUDA
  if (name.ordinals.empty()) return {cuda::find_devices().usable().front()};
#endif
  return name.ordinals;
}

std::unique_ptr<Backend> open_backend(const std::string& device, [[maybe_unused]] std::uint64_t device_memory,
                                      [[maybe_unused]] std::size_t most) {
  const DeviceName name = parse(device);
  if (name.kind == "cpu" || (name.kind == "auto" && !why_no_gpu().empty())) return cpu::make_backend();
  std::vector<int> gpus = gpus_named(device);
#if HALFTONE_HAS_CUDA
  if (gpus.size() > most) gpus.resize(most);
  return cuda::make_backend({std::move(gpus), device_memory});
#else
  refuse_gpu(device, why_no_gpu());
#endif
}

std::vector<int> ordinals_named(const std::string& device) { return parse(device).ordinals; }

bool may_use_gpus(const std::string& device) { return parse(device).kind != "cpu"; }

void check_device_name(const std::string& device) {
  if (parse(device).kind == "cuda") (void)gpus_named(device);
}

void prepare_learning([[maybe_unused]] const std::string& device) {
#if HALFTONE_HAS_CUDA
  if (may_use_gpus(device)) (void)cuda::find_toolkit_libraries();
#endif
}

#if HALFTONE_HAS_CUDA

std::vector<DeviceNote> describe_gpus() {
  const cuda::Findings findings = cuda::find_devices();
  if (!findings.obstacle.empty()) return {{false, findings.obstacle + ": everything runs on the CPU"}};
  std::vector<DeviceNote> notes;
  for (const cuda::Device& device : findings.devices) {
    const std::string what = fmt::format("cuda:{} {}, {}, compute capability {}", device.ordinal, device.name,
                                         base::human_bytes(device.total_bytes), device.architecture);
    const bool usable = device.obstacle.empty();
    notes.push_back({usable, usable ? what : fmt::format("{}: not used, {}", what, device.obstacle)});
  }
  return notes;
}

std::vector<DeviceNote> describe_libraries() {
  std::vector<DeviceNote> notes;
  for (const cuda::ToolkitLibrary& library : cuda::find_toolkit_libraries()) {
    const bool usable = library.problem.empty();
    const std::string what = fmt::format("{}, for {}", library.file, library.purpose);
    notes.push_back({usable, usable ? what : fmt::format("{}: not found ({})", what, library.problem)});
  }
  return notes;
}

#else

std::vector<DeviceNote> describe_libraries() { return {}; }

std::vector<DeviceNote> describe_gpus() { return {{false, "this build has no CUDA backend: everything runs on the CPU"}}; }

#endif

}  // namespace halftone::api
