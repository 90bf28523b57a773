#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include <halftone/backend.hpp>

#include "cpu/kernel_table.hpp"

namespace halftone::cpu {

/// The kernel tables that this machine can run, the fastest first.
[[nodiscard]] std::vector<const KernelTable*> usable_kernels();

/// The CPU backend with the given kernels.
[[nodiscard]] std::unique_ptr<Backend> make_backend(const KernelTable& kernels);

/// The CPU backend with the fastest kernels that this machine can run.
[[nodiscard]] std::unique_ptr<Backend> make_backend();

}  // namespace halftone::cpu
