#include "api/fitting_backend.hpp"

#include <optional>

#include "api/backends.hpp"
#include "api/resume.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "exec/executor.hpp"

namespace halftone::api {
namespace {

/// Whether `backend` reads the weight of `job`, which may be quantized already.
Support can_read(const Backend& backend, const Job& job) { return job.stored ? backend.supports(job.stored->spec, Dtype::F32) : Support{}; }

/// Why `backend` cannot run `plan`; empty where it can.
std::string obstacle_to(const Plan& plan, const Backend& backend) {
  if (learns(plan)) {
    if (const Support support = backend.supports_learning(); !support) return support.reason;
  }
  for (const Job& job : plan.jobs) {
    const Support support = job.kind == JobKind::quantize ? can_quantize(backend, job, job.spec) : can_read(backend, job);
    if (!support) return support.reason;
  }
  return {};
}

/// Throws device where a layer would never have room on the device.
void check_room(const Plan& plan, const Backend& backend) {
  const std::optional<std::uint64_t> available = backend.engine_bytes();
  if (!available) return;
  for (const Job& job : plan.jobs) {
    if (!job.learn || exec::learning_bytes(job) <= *available) continue;
    fail(ErrorKind::device,
         "the tensor '{}': its codes are chosen with {} of device memory, and {} is available; --device cpu chooses them on the processor",
         job.inputs[0].info.name, base::human_bytes(exec::learning_bytes(job)), base::human_bytes(*available));
  }
}

}  // namespace

Support can_quantize(const Backend& backend, const Job& job, const QuantSpec& spec) {
  if (Support support = can_read(backend, job); !support) return support;
  return backend.supports(spec, source_dtype(job));
}

std::unique_ptr<Backend> fitting_backend(std::unique_ptr<Backend> opened, const Plan& plan, const std::string& device) {
  const std::string obstacle = obstacle_to(plan, *opened);
  if (obstacle.empty()) {
    check_room(plan, *opened);
    return opened;
  }
  if (device == "auto") return open_backend("cpu");
  fail(ErrorKind::unsupported, "--device {}: {}; --device auto and --device cpu convert on the processor", device, obstacle);
}

}  // namespace halftone::api
