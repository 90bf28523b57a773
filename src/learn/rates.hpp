#pragma once

#include "learn/engine.hpp"
#include "learn/layer_work.hpp"

namespace halftone::learn {

/// What an engine takes for each kind of work, measured within some milliseconds on random numbers.
[[nodiscard]] Rates measure_rates(Engine& engine);

/// Bytes of the engine that it takes.
[[nodiscard]] std::uint64_t bytes_of_measuring() noexcept;

}  // namespace halftone::learn
