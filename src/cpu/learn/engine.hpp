#pragma once

#include <memory>

#include "learn/engine.hpp"

namespace halftone::cpu {

/// An engine on one thread of the processor, with the products and factors of Eigen.
[[nodiscard]] std::unique_ptr<learn::Engine> make_engine();

}  // namespace halftone::cpu
