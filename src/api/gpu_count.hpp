#pragma once

#include <cstddef>

#include <halftone/plan.hpp>

namespace halftone::api {

/// How many of `named` GPUs are worth their start for `plan`, at least one; `threads` have work for as many.
[[nodiscard]] std::size_t gpu_count(const Plan& plan, std::size_t named, unsigned threads);

/// Why fewer than all were used that were named.
[[nodiscard]] const char* why_fewer_gpus(const Plan& plan);

}  // namespace halftone::api
