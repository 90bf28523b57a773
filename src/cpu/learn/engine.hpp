#pragma once

#include <memory>

#include <halftone/backend.hpp>

#include "learn/engine.hpp"

namespace halftone::cpu {

/// An engine on one thread of the processor, with the products and factors of Eigen; `backend` is that of the processor,
/// and must outlive it.
[[nodiscard]] std::unique_ptr<learn::Engine> make_engine(const Backend& backend);

}  // namespace halftone::cpu
