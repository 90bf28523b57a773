#pragma once

#include <memory>
#include <string>

#include <halftone/backend.hpp>
#include <halftone/plan.hpp>

namespace halftone::api {

/// Whether `backend` reads the weight of `job` and writes it as `spec` says.
[[nodiscard]] Support can_quantize(const Backend& backend, const Job& job, const QuantSpec& spec);

/// `opened`, or the processor where that was chosen automatically and cannot run the plan; `device` is how it was named.
/// Throws unsupported where a device that was named cannot run it, device where a layer would never have room on it.
[[nodiscard]] std::unique_ptr<Backend> fitting_backend(std::unique_ptr<Backend> opened, const Plan& plan, const std::string& device);

}  // namespace halftone::api
